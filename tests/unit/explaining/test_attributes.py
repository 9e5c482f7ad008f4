"""Which attribute a feature tells of, by the SQL that makes it."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_apps.explaining.attributes import Lineage, attribute, origins
from spark_apps.explaining.saved import Stage
from spark_apps.listings.cleaning import USED_COLUMNS
from spark_apps.listings.features import CATEGORIES, NUMBERS, VARIANTS, statement

TODAY = 2020.7


def by_attribute() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for made, columns in origins(statement(TODAY)).items():
        kind, _, feature = made.partition("_")
        if kind != "clean":
            found.setdefault(attribute(feature, columns), set()).add(feature)
    return found


def test_a_mileage_in_whatever_form_is_the_mileage() -> None:
    assert by_attribute()["mileage"] == {"mileage", "log_mileage", "mileage_a_year", "missing_mileage"}


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ("age", "year"),
        ("age_squared", "year"),
        ("log_horsepower", "horsepower"),
        ("model", "model_name"),
        ("make", "make_name"),
        ("trim", "trim_name"),
        ("option_navigation_system", "major_options"),
        ("options", "major_options"),
        ("power_rpm", "power"),
        ("variant", "variant"),
        ("variant_and_year", "variant"),
        ("length", "length"),  # a function of SQL has the same name
        ("bed_length", "bed_length"),
    ],
)
def test_a_feature_tells_of_what_it_is_made_of(feature: str, expected: str) -> None:
    assert feature in by_attribute()[expected]


def test_every_feature_has_an_attribute_that_a_listing_has_or_is_a_variant() -> None:
    found = by_attribute()

    assert set(found) <= {*USED_COLUMNS, "variant"}
    assert set().union(*found.values()) == {*NUMBERS, *CATEGORIES, *VARIANTS}


def test_origins_are_the_columns_that_the_tables_of_features_name() -> None:
    found = origins(statement(TODAY))

    for name, number in NUMBERS.items():
        cleaned = re.findall(r"clean_\w+", number.sql.format(today=TODAY))
        assert found[f"number_{name}"] == frozenset().union(*(found[one] for one in cleaned)), name


def test_the_numbers_of_a_vector_are_traced_through_its_stages(tmp_path) -> None:
    def stage(kind: str, **params) -> Stage:
        return Stage(kind, params, {}, tmp_path)

    sql = (
        "SELECT * EXCEPT (clean_x), ln(clean_mileage) AS number_log_mileage, clean_x AS category_make FROM "
        "(SELECT *, mileage AS clean_mileage, lower(make_name) AS clean_x FROM __THIS__)"
    )
    lineage = Lineage.of(
        [
            stage("SQLTransformer", statement=sql),
            stage("VectorAssembler", inputCols=["number_log_mileage"], outputCol="numbers"),
            stage("StringIndexerModel", inputCols=["category_make"], outputCols=["index_make"]),
            stage("OneHotEncoderModel", inputCols=["index_make"], outputCols=["one_hot_make"]),
            stage("VectorAssembler", inputCols=["numbers", "one_hot_make"], outputCol="plane_features"),
        ]
    )

    assert lineage.attributes("plane_features", {"one_hot_make": 3}) == ["mileage", *["make_name"] * 3]
    assert lineage.columns()["make_name"] == ("make_name",)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_number_that_is_looked_up_by_a_label_is_of_the_labels_category(tmp_path, transposed) -> None:
    def stage(kind: str, **params) -> Stage:
        return Stage(kind, params, {}, tmp_path)

    # Two labels of a make, then three of a fuel; two numbers of the fuel and one of the make.
    weights = np.array([[0, 0, 0.5], [0, 0, 0], [0, 8, 0], [-0.2, 0, 0], [0, 8, 0]])
    matrix = {
        "numRows": 5,
        "numCols": 3,
        "values": weights.ravel("C" if transposed else "F").tolist(),
        "isTransposed": transposed,
    }
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist([{"pc": matrix}]), tmp_path / "data" / "part-0.parquet")
    sql = "SELECT *, make_name AS category_make, fuel_type AS category_fuel FROM (SELECT * FROM __THIS__)"
    one_hots = ["one_hot_make", "one_hot_fuel"]
    lineage = Lineage.of(
        [
            stage("SQLTransformer", statement=sql),
            stage("OneHotEncoderModel", inputCols=["category_make", "category_fuel"], outputCols=one_hots),
            stage("VectorAssembler", inputCols=one_hots, outputCol="one_hots"),
            stage("PCAModel", inputCol="one_hots", outputCol="embedded"),
        ]
    )

    found = lineage.attributes("embedded", {"one_hot_make": 2, "one_hot_fuel": 3})

    assert found == ["fuel_type", "fuel_type", "make_name"]
