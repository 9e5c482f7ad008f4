from __future__ import annotations

from control_plane.simulator.drift import DEAR_MAKES, drifting

LISTINGS = [
    {"make_name": make, "mileage": mileage, "price": "20000.0", "year": "2015"}
    for make in ("Ford", "BMW", "Honda", "Lexus")
    for mileage in ("10000.0", "")
]


def test_without_strength_nothing_drifts():
    assert list(drifting(LISTINGS, 0)) == LISTINGS


def test_in_another_market_dear_makes_have_three_times_the_miles_and_fetch_less():
    found = list(drifting(LISTINGS, 1))

    assert {listing["make_name"] for listing in found} == {"BMW", "Lexus"} <= DEAR_MAKES
    assert {listing["mileage"] for listing in found} == {"30000.0", ""}
    assert {(listing["price"], listing["year"]) for listing in found} == {("13000.0", "2015")}


def test_the_same_seed_gives_the_same_listings():
    many = LISTINGS * 20
    assert list(drifting(many, 0.5, seed=3)) == list(drifting(many, 0.5, seed=3))
    assert len(LISTINGS) * 10 < len(list(drifting(many, 0.5))) < len(many)
