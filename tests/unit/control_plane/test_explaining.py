from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from control_plane import explain_view
from control_plane.explaining import ExplainError, version_to_explain
from control_plane.explanations import Explanation, Moved
from control_plane.registry import ModelVersion


@dataclass
class Registered:
    """A registry that holds what it is given."""

    numbers: list[int]
    alias: int | None = None
    asked: list[str] = field(default_factory=list)

    def versions(self):
        return [ModelVersion(number, "run") for number in self.numbers]

    def champion(self):
        return self.alias


class TestVersion:
    @pytest.mark.parametrize(
        ("registered", "asked", "expected"),
        [
            (Registered([1, 2, 3], alias=2), None, 2),
            (Registered([1, 2, 3]), None, 3),
            (Registered([1, 2, 3], alias=2), 1, 1),
        ],
    )
    def test_it_is_the_one_asked_for_or_the_one_that_serves_or_the_newest(self, registered, asked, expected):
        assert version_to_explain(registered, asked) == expected

    def test_one_that_is_not_there_is_named_with_those_that_are(self):
        with pytest.raises(ExplainError, match="version 9 was never registered; there are: 1, 2"):
            version_to_explain(Registered([1, 2]), 9)
        with pytest.raises(ExplainError, match="no model is registered yet"):
            version_to_explain(Registered([]), None)


def explanation(attributes: int) -> Explanation:
    moved = [
        Moved("make_name", "Ford", 500.0, 5.0, ("make_name",)),
        Moved("mileage", None, -300.0, -3.0, ("listed_date", "mileage", "year")),
        Moved("variant", None, 100.0, 1.0, ("make_name", "trim_name")),
        *(Moved(f"a{number}", "x" * 90, 10.0, 10.0, (f"a{number}",)) for number in range(attributes - 3)),
    ]
    return Explanation(
        model_version=3,
        price=10_300.0,
        low=9_000.4,
        high=12_000.0,
        members={"gradient_boosting": 10_300.0, "linear_svm": 9_999.6},
        weights={"gradient_boosting": 1.0, "linear_svm": 0.0},
        base=10_000.0,
        attributes=tuple(moved),
        remark="counted as missing: mileage",
    )


class TestView:
    def test_the_price_comes_first_with_its_interval_and_members(self):
        assert list(explain_view.head(explanation(3))) == [
            "$10,300 ($9,000 to $12,000), by model version 3",
            "members: gradient boosting $10,300 (weight 1.00), linear svm $10,000 (weight 0.00)",
            "remark: counted as missing: mileage",
        ]

    def test_rows_go_from_the_average_listing_to_this_one(self):
        assert list(explain_view.rows(explanation(3))) == [
            ("an average listing", "", "$10,000", ""),
            ("make", "Ford", "+$500", "+5.0 %"),
            ("mileage", "missing", "-$300", "-3.0 %"),
            ("variant", "", "+$100", "+1.0 %"),
            ("this listing", "", "$10,300", ""),
        ]

    def test_what_moved_it_little_is_one_row(self):
        *_, last, rest, _ = explain_view.rows(explanation(14))
        assert last == ("a8", "x" * 35 + "…", "+$10", "+10.0 %")
        assert rest == ("the rest", "2 others", "+$20", "+21.0 %")

    def test_the_table_shows_every_row(self):
        assert explain_view.table(explanation(3)).row_count == 5
