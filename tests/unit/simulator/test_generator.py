import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest

from control_plane.simulator.cars import WRONG_PRICES, draw_cars
from control_plane.simulator.columns import COLUMNS
from control_plane.simulator.facts import load_facts
from control_plane.simulator.generator import GenerationReport, generate, listings
from control_plane.simulator.versions import load_versions
from control_plane.simulator.vins import vins

ROWS, SEED = 12_500, 3

# what the real file has, in per cent of 3,000,040 rows
MISSING = {
    "back_legroom": 5.31,
    "bed": 99.35,
    "bed_height": 85.7,
    "bed_length": 85.7,
    "body_type": 0.45,
    "cabin": 97.88,
    "city_fuel_economy": 16.38,
    "combine_fuel_economy": 100.0,
    "description": 2.6,
    "engine_cylinders": 3.35,
    "engine_displacement": 5.75,
    "exterior_color": 1.67,
    "fleet": 47.55,
    "franchise_make": 19.09,
    "fuel_type": 2.76,
    "has_accidents": 47.55,
    "horsepower": 5.75,
    "interior_color": 12.8,
    "is_certified": 100.0,
    "is_cpo": 93.9,
    "is_oemcpo": 95.49,
    "main_picture_url": 12.3,
    "major_options": 6.67,
    "mileage": 4.81,
    "owner_count": 50.57,
    "power": 16.05,
    "seller_rating": 1.36,
    "torque": 17.26,
    "transmission": 2.14,
    "trimId": 3.86,
    "trim_name": 3.88,
    "vehicle_damage_category": 100.0,
    "wheel_system": 4.89,
    "wheelbase": 5.31,
}
INCHES, FLAG, NUMBER = r"\d+(\.\d+)? in", r"True|False", r"\d+\.0"
FORMATS = {
    "vin": r"[0-9A-HJ-NPR-Z]{17}",
    "back_legroom": rf"--|{INCHES}",
    "bed": r"Short|Regular|Long",
    "bed_height": r"--",
    "bed_length": rf"--|{INCHES}",
    "cabin": r"[A-Z][a-z]+ Cab",
    "city_fuel_economy": NUMBER,
    "daysonmarket": r"\d+",
    "dealer_zip": r"\d{5}",
    "engine_cylinders": r"[IVH]\d+( (Hybrid|Diesel|Flex Fuel Vehicle))?",
    "engine_displacement": r"\d{3,4}\.0",
    "fleet": FLAG,
    "franchise_dealer": FLAG,
    "fuel_tank_volume": r"--|\d+(\.\d+)? gal",
    "horsepower": NUMBER,
    "is_cpo": r"True",
    "is_new": FLAG,
    "latitude": r"\d+\.\d{1,4}",
    "length": INCHES,
    "listed_date": r"20\d\d-\d\d-\d\d",
    "listing_color": r"[A-Z]+",
    "listing_id": r"\d{9}",
    "longitude": r"-\d+\.\d{1,4}",
    "main_picture_url": r"https://images\.example\.com/\S+\.jpeg",
    "major_options": r"\['.+'(, '.+')*\]",
    "maximum_seating": r"\d+ seats",
    "mileage": NUMBER,
    "owner_count": NUMBER,
    "power": r"\d+ hp @ \d,\d{3} RPM",
    "price": NUMBER,
    "savings_amount": r"\d+",
    "seller_rating": r"\d(\.\d+)?",
    "sp_id": r"\d+(\.0)?",
    "torque": r"\d+ lb-ft @ \d,\d{3} RPM",
    "transmission": r"A|CVT|M|Dual Clutch",
    "trimId": r"t\d{5}",
    "wheel_system": r"FWD|AWD|4WD|RWD|4X2",
    "width": INCHES,
    "year": r"(19|20)\d\d",
}


@pytest.fixture(scope="module")
def sample() -> list[dict[str, str]]:
    return list(listings(ROWS, SEED))


def present(sample: list[dict[str, str]], column: str) -> list[str]:
    return [row[column] for row in sample if row[column]]


def test_the_header_has_the_datasets_66_columns_in_its_order():
    assert len(COLUMNS) == len(set(COLUMNS)) == 66
    assert (COLUMNS[0], COLUMNS[48], COLUMNS[-1]) == ("vin", "price", "year")


def test_the_same_seed_and_rows_give_the_same_bytes_whatever_numpys_global_state(tmp_path: Path):
    np.random.seed(1)
    first = generate(1_200, SEED, tmp_path / "a")
    np.random.seed(2)
    second = generate(1_200, SEED, tmp_path / "b")
    assert first.parts[0].read_bytes() == second.parts[0].read_bytes()


def test_another_seed_gives_other_cars(sample: list[dict[str, str]]):
    other = list(listings(500, SEED + 1))
    assert not {row["vin"] for row in other} & {row["vin"] for row in sample}


def test_each_part_has_the_header_and_all_parts_together_every_row_once(tmp_path: Path):
    report = generate(1_003, SEED, tmp_path, parts=4)
    assert [path.name for path in report.parts] == [f"part-0000{n}.csv" for n in range(4)]
    whole = generate(1_003, SEED, tmp_path / "whole").parts[0].read_text()
    header = whole.splitlines(keepends=True)[0]
    texts = [path.read_text() for path in report.parts]
    assert all(text.startswith(header) for text in texts)
    assert header + "".join(text.removeprefix(header) for text in texts) == whole
    assert report.bytes == sum(path.stat().st_size for path in report.parts)


def test_a_part_left_by_an_earlier_run_does_not_stay(tmp_path: Path):
    generate(10, SEED, tmp_path, parts=3)
    generate(10, SEED, tmp_path, parts=1)
    assert [path.name for path in tmp_path.iterdir()] == ["part-00000.csv"]


def test_no_rows_are_a_part_with_a_header(tmp_path: Path):
    report = generate(0, SEED, tmp_path)
    assert report.parts[0].read_text().strip() == ",".join(COLUMNS)


@pytest.mark.parametrize(("rows", "seed", "parts"), [(-1, 0, None), (10, -1, None), (10, 0, 11)])
def test_an_impossible_request_is_refused_with_the_value(tmp_path: Path, rows, seed, parts):
    with pytest.raises(ValueError, match=r"is -?\d+: give a number"):
        generate(rows, seed, tmp_path, parts)


def test_python_reads_the_file_back_as_the_listings_in_memory(tmp_path: Path):
    report = generate(2_000, SEED, tmp_path)
    with report.parts[0].open(newline="") as file:
        assert list(csv.DictReader(file)) == list(listings(2_000, SEED))


def test_fields_hold_commas_quotes_and_line_breaks(tmp_path: Path):
    text = generate(2_000, SEED, tmp_path).parts[0].read_text()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(text.splitlines()) > 2_001
    assert all(any(mark in row["description"] for row in rows) for mark in (",", '"', "\n"))
    assert '""' in text
    assert any("[!@@Additional Info@@!]" in row["description"] for row in rows)


def test_progress_adds_up_to_the_rows(tmp_path: Path):
    steps: list[int] = []
    generate(10_500, SEED, tmp_path, on_rows=steps.append)
    assert steps == [10_000, 500]


@pytest.mark.parametrize("column", FORMATS)
def test_every_value_has_the_datasets_form(sample: list[dict[str, str]], column: str):
    form = re.compile(FORMATS[column])
    assert {value for value in present(sample, column) if not form.fullmatch(value)} == set()


@pytest.mark.parametrize("column", MISSING)
def test_a_column_is_missing_as_often_as_in_the_real_file(sample: list[dict[str, str]], column: str):
    missing = 100 * (1 - len(present(sample, column)) / ROWS)
    assert missing == pytest.approx(MISSING[column], abs=2.5)


def test_missing_values_go_missing_together(sample: list[dict[str, str]]):
    measures = ("length", "width", "height", "wheelbase", "front_legroom", "maximum_seating")
    flags = ("fleet", "frame_damaged", "has_accidents", "isCab", "salvage", "theft_title")
    for group in (measures, flags):
        assert {sum(1 for name in group if row[name]) for row in sample} == {0, len(group)}


def test_new_cars_have_no_history_and_hardly_any_miles(sample: list[dict[str, str]]):
    new = [row for row in sample if row["is_new"] == "True"]
    assert sum(1 for row in new if row["has_accidents"]) < 0.05 * len(new)
    assert all(float(row["mileage"] or 0) < 300 and int(row["year"]) >= 2018 for row in new)
    assert all(row["franchise_dealer"] == "True" for row in new)


def test_power_horsepower_and_fuel_agree(sample: list[dict[str, str]]):
    for row in sample:
        if row["power"] and row["horsepower"]:
            assert row["power"].split(" hp")[0] == row["horsepower"].removesuffix(".0")
        if row["fuel_type"] in ("Hybrid", "Diesel") and row["engine_cylinders"]:
            assert row["engine_cylinders"].endswith(row["fuel_type"])
        if row["fuel_type"] == "Electric":
            assert not row["engine_displacement"]


def test_the_same_version_has_the_same_engine_measures_and_drive(sample: list[dict[str, str]]):
    seen: dict[str, tuple[str, ...]] = {}
    for row in sample:
        spec = tuple(row[name] for name in ("model_name", "trim_name", "horsepower", "wheelbase"))
        if row["trimId"] and all(spec):
            assert seen.setdefault(row["trimId"], spec) == spec


def test_a_dealer_is_in_one_place(sample: list[dict[str, str]]):
    places: dict[str, tuple[str, ...]] = {}
    for row in sample:
        if row["sp_id"]:
            place = (row["city"], row["dealer_zip"], row["latitude"], row["sp_name"], row["franchise_make"])
            assert places.setdefault(row["sp_id"], place) == place


def test_seller_ids_come_in_both_forms_and_option_lists_read_as_lists(sample: list[dict[str, str]]):
    forms = {row["sp_id"].endswith(".0") for row in sample if row["sp_id"]}
    assert forms == {True, False}
    assert any("'Backup Camera', " in row["major_options"] for row in sample)


def test_days_on_market_count_from_the_crawl_in_september_2020(sample: list[dict[str, str]]):
    listed = np.array([row["listed_date"] for row in sample], dtype="datetime64[D]")
    seen = listed + np.array([int(row["daysonmarket"]) for row in sample])
    assert seen.min() >= np.datetime64("2020-09-01")
    assert seen.max() <= np.datetime64("2020-09-30")


def test_savings_are_what_a_used_car_is_below_its_market_price(sample: list[dict[str, str]]):
    saved = np.array([int(row["savings_amount"]) for row in sample])
    new = np.array([row["is_new"] == "True" for row in sample])
    assert saved[new].max() == 0
    assert 0.3 < (saved[~new] > 0).mean() < 0.7


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[GenerationReport, list[dict[str, str]]]:
    """Just enough rows for a wrong price and a duplicate to be due."""
    report = generate(40_000, SEED, tmp_path_factory.mktemp("written"))
    with report.parts[0].open(newline="") as file:
        return report, list(csv.DictReader(file))


def test_wrong_prices_and_duplicates_come_as_often_as_they_should(written):
    report, rows = written
    assert (report.wrong_prices, report.duplicates) == (1, 1)
    assert [float(row["price"]) for row in rows].count(WRONG_PRICES[0]) == 1
    assert len(rows) - len({row["vin"] for row in rows}) == 1
    assert len(rows) - len({tuple(row.values()) for row in rows}) == 1


def test_the_best_possible_error_is_a_small_part_of_the_prices_spread(written):
    report, rows = written
    right = np.array([float(row["price"]) for row in rows if float(row["price"]) != WRONG_PRICES[0]])
    assert 0 < report.best.mae < report.best.rmse < 0.15 * right.std()
    assert report.best_with_wrong.rmse > report.best.rmse
    assert (report.best.rows, report.best_with_wrong.rows) == (39_999, 40_000)


def test_the_best_possible_error_leaves_out_prices_that_nobody_trains_on(tmp_path: Path):
    report = generate(2_000, SEED, tmp_path, within=(10_000, 20_000))
    with report.parts[0].open(newline="") as file:
        prices = [float(row["price"]) for row in csv.DictReader(file)]
    assert report.best.rows == sum(10_000 <= price <= 20_000 for price in prices)
    assert report.best.rmse < generate(2_000, SEED, tmp_path).best.rmse


def test_the_noise_around_the_expected_price_is_the_declared_one():
    cars = draw_cars(20_000, np.random.default_rng(SEED))
    unexplained = np.log(cars.price / cars.median) / cars.noise
    assert unexplained.mean() == pytest.approx(0, abs=0.03)
    assert unexplained.std() == pytest.approx(1, abs=0.03)


def test_the_expected_price_can_be_learned_from_the_attributes():
    cars = draw_cars(60_000, np.random.default_rng(SEED))
    one_model = cars.model == 0
    age = 2020 - cars.year[one_model]
    attributes = [
        np.ones(one_model.sum()),
        np.minimum(age, 15),
        np.minimum(age, 4),
        cars.miles[one_model] / 1e5,
        np.sqrt(cars.miles[one_model] / 1e5),
        cars.new[one_model],
        load_versions().premium[cars.version[one_model]],
        cars.history.accident[one_model],
        *cars.options[one_model].T,
    ]
    seen, learned = np.column_stack(attributes).astype(float), np.log(cars.price[one_model])
    half = len(seen) // 2
    weights = np.linalg.lstsq(seen[:half], learned[:half], rcond=None)[0]
    error = learned[half:] - seen[half:] @ weights
    assert error.std() < 0.35 * learned[half:].std()
    assert weights[6] == pytest.approx(1, abs=0.25)


def test_the_most_listed_models_cost_what_they_cost_in_the_real_file():
    cars, models = draw_cars(100_000, np.random.default_rng(SEED)), load_facts().models
    for model in range(20):
        mean = cars.price[cars.model == model].mean()
        assert mean == pytest.approx(models.mean_price[model], rel=0.1), models.model[model]


def test_vins_carry_the_right_check_digit_and_model_year():
    rng = np.random.default_rng(0)
    wmi = np.array(["1M8"] * 50, dtype=object)
    made = vins(wmi, np.arange(50), np.full(50, 2017), np.arange(50), 9, rng)
    values = dict(
        zip("ABCDEFGHJKLMNPRSTUVWXYZ", [*range(1, 9), *range(1, 6), 7, 9, *range(2, 10)], strict=True)
    )
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    for vin in made:
        total = sum(w * (values[c] if c in values else int(c)) for w, c in zip(weights, vin, strict=True))
        assert vin[8] == "0123456789X"[total % 11]
        assert vin[9] == "H"


def test_vins_stay_distinct_over_a_million_rows_apart():
    rows = np.arange(0, 30_000_000, 1_013)
    wmi = np.array(["1FT"] * len(rows), dtype=object)
    same = np.zeros(len(rows), dtype=np.int64)

    class Fixed:
        def integers(self, _low, _high, shape):
            return np.zeros(shape, dtype=np.int64)

    made = vins(wmi, same, same + 2020, rows, 4, Fixed())
    assert len(set(made)) == len(rows)
