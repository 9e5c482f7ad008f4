from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from control_plane.failures import LONGEST_MESSAGE, Failure
from spark_apps.listings.cleaning import FLAGS, NUMBERS
from spark_apps.listings.features import CATEGORIES
from spark_apps.listings.profile import LEVELS, CategoryProfile, NumberProfile, Profile
from spark_apps.training.quality_gate import Verdict, findings, judge, refusal
from spark_apps.training.settings import GateSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROWS = 10_000
BOUNDS = GateSettings(more_dropped=0.1, more_missing=0.15, more_unseen=0.15, middle=0.5, ends=2, sigmas=4)


def spread(low: float, high: float, known: int = ROWS) -> NumberProfile:
    """A number that is as often anywhere between ``low`` and ``high``."""
    return NumberProfile(known=known, quantiles=tuple(low + (high - low) * level for level in LEVELS))


def nothing() -> NumberProfile:
    return NumberProfile(known=0, quantiles=())


def labels(counts: Mapping[str, int], *, unlisted: int = 0) -> CategoryProfile:
    return CategoryProfile(known=sum(counts.values()) + unlisted, labels=dict(counts))


def batch(
    rows: int = ROWS,
    *,
    unusable: Mapping[str, int] | None = None,
    numbers: Mapping[str, NumberProfile] | None = None,
    categories: Mapping[str, CategoryProfile] | None = None,
) -> Profile:
    return Profile(
        batch="b1",
        rows=rows,
        unusable=dict(unusable or {}),
        numbers=dict(numbers or {}),
        categories=dict(categories or {}),
    )


def what(now: Profile, last: Profile | None, bounds: GateSettings = BOUNDS) -> list[str]:
    return [finding.what for finding in findings(now, last, bounds)]


class TestRowsOfNoUse:
    def test_a_rule_that_drops_far_more_than_last_time_is_found_with_its_shares(self):
        now = batch(unusable={"price_out_of_range": 3_000, "year_out_of_range": 500})
        [found] = findings(now, batch(unusable={"price_out_of_range": 100}), BOUNDS)
        assert (found.what, found.was, found.now) == (
            "share of rows dropped by price_out_of_range",
            0.01,
            0.3,
        )
        assert 0.11 < found.bound < 0.13

    def test_a_quarantined_share_says_so(self):
        assert what(batch(unusable={"malformed_record": 2_000}), batch()) == [
            "share of rows quarantined by malformed_record"
        ]

    def test_what_was_accepted_once_is_the_measure(self):
        last = batch(unusable={"price_missing": 4_000})
        assert what(batch(unusable={"price_missing": 4_500}), last) == []

    @pytest.mark.parametrize(
        ("unusable", "found"),
        [
            ({}, []),
            ({"price_missing": 1_500, "year_out_of_range": 4_500}, []),
            ({"price_missing": 1_500, "malformed_record": 1_500}, ["share of rows quarantined"]),
            ({"year_out_of_range": 3_000, "no_make_or_model": 3_000}, ["share of rows dropped"]),
        ],
    )
    def test_with_nothing_to_compare_with_only_all_of_them_together_are_judged(self, unusable, found):
        empty = batch(unusable=unusable, numbers={"mileage": nothing()})
        assert what(empty, None) == found

    def test_a_few_rows_of_no_use_among_few_say_little(self):
        assert what(batch(10, unusable={"malformed_record": 4}), None) == []
        assert what(batch(10, unusable={"malformed_record": 4}), batch()) == []

    def test_an_empty_batch_is_not_judged_here(self):
        assert what(batch(0), None) == what(batch(0), batch()) == []


class TestMissing:
    def test_a_column_that_goes_missing_is_found(self):
        last = batch(numbers={"mileage": spread(0, 9, known=9_500)})
        [found] = findings(batch(numbers={"mileage": nothing()}), last, BOUNDS)
        assert (found.what, found.was, found.now) == ("share of mileage missing", pytest.approx(0.05), 1)
        assert 0.2 < found.bound < 0.23

    def test_so_is_a_category(self):
        last = batch(categories={"make": labels({"ford": ROWS})})
        assert what(batch(categories={"make": labels({"ford": 7_000})}), last) == ["share of make missing"]

    @pytest.mark.parametrize(("before", "now"), [(0, 0), (0, ROWS), (9_000, 8_000), (5_000, 5_000)])
    def test_a_column_that_is_as_empty_fuller_or_a_little_emptier_is_fine(self, before, now):
        last = batch(categories={"make": labels({"ford": before})})
        assert what(batch(categories={"make": labels({"ford": now})}), last) == []

    def test_it_is_the_usable_rows_that_count(self):
        last = batch(12_000, unusable={"price_missing": 2_000}, categories={"make": labels({"ford": ROWS})})
        assert what(batch(12_000, unusable={"price_missing": 2_000}, categories=last.categories), last) == []

    def test_few_rows_say_little(self):
        last = batch(categories={"make": labels({"ford": ROWS})})
        missing = {"make": labels({"ford": 6})}
        assert what(batch(10, categories=missing), last) == []
        assert what(batch(10, categories=missing), last, BOUNDS.model_copy(update={"sigmas": 0})) == [
            "share of make missing"
        ]

    def test_a_column_that_the_last_profile_does_not_know_is_not_judged(self):
        assert what(batch(numbers={"mileage": nothing()}), batch()) == []


class TestNeverSeenBefore:
    def test_values_that_the_last_batch_did_not_have_are_found(self):
        last = batch(categories={"make": labels({"ford": 9_000, "bmw": 1_000})})
        now = batch(categories={"make": labels({"ford": 7_000, "vw": 1_500, "audi": 1_500})})
        [found] = findings(now, last, BOUNDS)
        assert (found.what, found.was, found.now) == ("share of make never seen before", None, 0.3)

    def test_a_few_new_values_are_fine(self):
        last = batch(categories={"make": labels({"ford": ROWS})})
        assert what(batch(categories={"make": labels({"ford": 9_000, "vw": 1_000})}), last) == []

    def test_where_most_values_were_seen_once_new_ones_are_expected(self):
        once = labels({f"trim {number}": 1 for number in range(ROWS)})
        others = labels({f"other {number}": 1 for number in range(ROWS)})
        assert what(batch(categories={"trim": others}), batch(categories={"trim": once})) == []
        twice = labels({f"trim {number}": 2 for number in range(ROWS // 2)})
        assert what(batch(categories={"trim": others}), batch(categories={"trim": twice})) == [
            "share of trim never seen before"
        ]

    def test_a_list_that_is_not_complete_says_nothing_of_what_is_not_in_it(self):
        now = batch(categories={"trim": labels({"lx": ROWS})})
        assert what(now, batch(categories={"trim": labels({"s": 9_000}, unlisted=1_000)})) == []
        assert what(now, batch(categories={"trim": labels({"s": ROWS})})) != []


class TestMovedNumbers:
    LAST = batch(numbers={"mileage": spread(0, 100_000)})

    def test_another_unit_is_found_at_the_quantile_that_is_farthest_off(self):
        [found] = findings(batch(numbers={"mileage": spread(0, 200_000)}), self.LAST, BOUNDS)
        assert (found.what, found.was, found.now) == ("90% quantile of mileage", 90_000, 180_000)
        assert 115_000 <= found.bound < 120_000

    @pytest.mark.parametrize(
        ("low", "high", "below"),
        [(-60_000, 40_000, True), (60_000, 160_000, False), (0, 40_000, True)],
    )
    def test_so_is_a_move_in_either_direction(self, low, high, below):
        [found] = findings(batch(numbers={"mileage": spread(low, high)}), self.LAST, BOUNDS)
        assert (found.now < found.bound < found.was) if below else (found.was < found.bound < found.now)

    def test_a_move_within_the_bounds_is_fine(self):
        assert what(batch(numbers={"mileage": spread(20_000, 120_000)}), self.LAST) == []

    def test_far_ends_are_found_where_the_middle_is_as_it_was(self):
        quantiles = [
            value if level < 0.99 else 1e6
            for level, value in zip(LEVELS, spread(0, 1e5).quantiles, strict=True)
        ]
        wild = NumberProfile(known=ROWS, quantiles=tuple(quantiles))
        assert what(batch(numbers={"mileage": wild}), self.LAST) == ["99% quantile of mileage"]

    def test_few_values_say_little_of_either_batch(self):
        few = {"mileage": spread(60_000, 160_000, known=5)}
        assert what(batch(5, numbers=few), self.LAST) == []
        assert what(self.LAST, batch(5, numbers=few)) == []

    def test_a_number_that_was_the_same_everywhere_may_move_by_half_of_itself(self):
        last = batch(numbers={"maximum_seating": spread(4, 4)})
        assert what(batch(numbers={"maximum_seating": spread(5, 5)}), last) == []
        assert what(batch(numbers={"maximum_seating": spread(7, 7)}), last) == [
            "10% quantile of maximum_seating"
        ]

    def test_where_the_middle_half_is_all_the_same_the_ends_are_the_measure(self):
        def seats(most: float) -> NumberProfile:
            return NumberProfile(
                known=ROWS,
                quantiles=tuple(4 if level < 0.2 else 5 if level < 0.8 else most for level in LEVELS),
            )

        last = batch(numbers={"maximum_seating": seats(7)})
        assert what(batch(numbers={"maximum_seating": seats(7.3)}), last) == []
        assert what(batch(numbers={"maximum_seating": seats(8.5)}), last) == [
            "90% quantile of maximum_seating"
        ]

    def test_days_go_on(self):
        last = batch(numbers={"listed": spread(2020, 2020.1), "latitude": spread(40, 45)})
        elsewhere = batch(numbers={"listed": spread(2021, 2021.1), "latitude": spread(25, 30)})
        assert what(elsewhere, last) == []


def sampled(seed: int, rows: int) -> Profile:
    """The profile of rows drawn from always the same skewed, lumpy and long-tailed distributions."""
    random = np.random.default_rng(seed)

    def number(values: np.ndarray, known: int) -> NumberProfile:
        found = np.quantile(values[:known], LEVELS, method="inverted_cdf") if known else ()
        return NumberProfile(known=known, quantiles=tuple(map(float, found)))

    def category(values: Sequence[int]) -> CategoryProfile:
        names, counts = np.unique(values, return_counts=True)
        return labels({f"v{name}": int(count) for name, count in zip(names, counts, strict=True)})

    known = int(random.binomial(rows, 0.5))
    return batch(
        rows,
        numbers={
            "mileage": number(np.exp(random.normal(10, 1.2, rows)), rows),
            "maximum_seating": number(random.choice([2.0, 5, 5, 5, 5, 7, 7, 8], rows), rows),
            "owner_count": number(random.geometric(0.6, rows).astype(float), known),
        },
        categories={"trim": category(random.zipf(1.3, rows)), "make": category(random.integers(0, 30, rows))},
    )


@pytest.mark.parametrize("before", [15, 120, 1_000, 5_000])
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 40, 300, 5_000])
def test_honest_batches_of_any_size_are_within_the_bounds_by_default(rows, before):
    for seed in range(20):
        assert what(sampled(seed, rows), sampled(1_000 + seed, before), GateSettings()) == []


@pytest.mark.parametrize(
    ("found", "last", "accept", "verdict"),
    [
        (False, None, False, Verdict.FIRST),
        (False, batch(), True, Verdict.WITHIN),
        (True, batch(), False, Verdict.REFUSED),
        (True, None, True, Verdict.ACCEPTED),
    ],
)
def test_a_batch_is_refused_for_what_was_found_unless_it_is_to_be_accepted(found, last, accept, verdict):
    beyond = findings(batch(unusable={"price_missing": ROWS}), None, BOUNDS)
    assert judge(beyond if found else [], last, accept=accept) is verdict


class TestRefusal:
    def test_it_says_in_a_sentence_what_was_found_and_what_to_do(self):
        last = batch(numbers={"mileage": spread(0, 9, known=9_500)})
        now = batch(numbers={"mileage": nothing()}, unusable={"price_missing": 5_000})
        error = refusal(now, findings(now, last, BOUNDS.model_copy(update={"sigmas": 0})), "run")
        assert str(error) == (
            "batch b1 was refused: share of rows quarantined by price_missing 0.5 (was 0, bound 0.1002), "
            "share of mileage missing 1 (was 0.05, bound 0.2003); "
            "to take it all the same: pipelines train b1 --accept-profile"
        )
        assert (error.profile.run_id, error.profile.rows) == ("run", ROWS)
        assert error.profile.missing == {"mileage": 1}
        assert error.profile.dropped == {"price_missing": 0.5}

    def test_all_that_can_be_found_of_all_columns_fits_into_the_message_of_a_pod(self):
        names = dict.fromkeys((*CATEGORIES, *FLAGS), labels({"x" * 60: ROWS - 123}))
        last = batch(numbers=dict.fromkeys(NUMBERS, spread(-123_456, -12_345)), categories=names)
        new = dict.fromkeys((*CATEGORIES, *FLAGS), labels({"y" * 60: ROWS - 4_567}))
        now = batch(numbers=dict.fromkeys(NUMBERS, spread(123_456, 234_567, known=6_789)), categories=new)
        error = refusal(now, findings(now, last, BOUNDS), "0123456789abcdef" * 2)
        message = Failure(reason=str(error), final=True, profile=error.profile).message()

        assert len(message) < LONGEST_MESSAGE
        assert Failure.read(message).profile == error.profile
        assert set(error.profile.missing) == {*NUMBERS, *CATEGORIES, *FLAGS}
        assert "y" * 60 not in message
