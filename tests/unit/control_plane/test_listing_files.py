from __future__ import annotations

import json

import pytest

from control_plane.listing_files import REQUIRED, ListingFileError, listings, one_listing, read
from spark_apps.listings.schema import REQUIRED_COLUMNS


class TestOneListing:
    def test_json_stays_as_it_is_written_but_on_one_line(self):
        text = (
            '{"make_name": "Ford", "model_name": "F-150",\r\n "year": 2019, "mileage": 1e3, "width": 9.0}\n'
        )
        assert one_listing(text, "x") == text.replace("\r", " ").replace("\n", " ")

    def test_a_row_of_csv_is_taken_by_its_header(self):
        text = '\ufeffmake_name,description,model_name,year\n"Ford","says ""new"", and\nmore",F-150,2019\n'
        assert json.loads(one_listing(text, "x")) == {
            "make_name": "Ford",
            "description": 'says "new", and\nmore',
            "model_name": "F-150",
            "year": "2019",
        }

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ('{"make_name": ', "listing.json is not JSON: Expecting value"),
            ("", "listing.json is neither a JSON object nor CSV with the header of listings"),
            ("[1]", "listing.json is neither a JSON object nor CSV with the header of listings"),
            ("make_name,year\n", "listing.json holds 0 listings: give one"),
            ("make_name,year\na,1\nb,2\n", "listing.json holds 2 listings: give one"),
            ("make_name,year\na\n", "listing.json has 1 fields under a header of 2"),
            (
                '{"make_name": "Ford", "year": null}',
                "listing.json gets no price: required columns missing: model_name, year",
            ),
        ],
    )
    def test_anything_else_is_refused_in_one_sentence(self, text, reason):
        with pytest.raises(ListingFileError, match=reason):
            one_listing(text, "listing.json")

    def test_the_required_columns_are_those_of_serving(self):
        assert REQUIRED == REQUIRED_COLUMNS


def test_lines_of_json_are_a_listing_each():
    text = '{"make_name": "Ford", "year": 1e3}\n\n{"make_name": "Audi"}\n'
    assert listings(text, "x") == ['{"make_name": "Ford", "year": 1e3}', '{"make_name": "Audi"}']


def test_rows_of_csv_are_a_listing_each():
    assert [json.loads(one) for one in listings("make_name,year\nFord,2019\nAudi,2020\n", "x")] == [
        {"make_name": "Ford", "year": "2019"},
        {"make_name": "Audi", "year": "2020"},
    ]


def test_json_over_several_lines_is_one_listing():
    assert listings('{"make_name":\n "Ford"}\n', "x") == ['{"make_name":  "Ford"} ']


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ListingFileError, match=r"nowhere.json cannot be read: No such file"):
        read(tmp_path / "nowhere.json")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(ListingFileError, match="is not a text in UTF-8"):
        read(tmp_path / "bytes")
