"""Which attribute a feature tells of, by the SQL that makes it."""

from __future__ import annotations

import re

import pytest

from spark_apps.explaining.attributes import Lineage, attribute, origins
from spark_apps.explaining.saved import Stage
from spark_apps.listings.cleaning import USED_COLUMNS
from spark_apps.listings.facts import Facts
from spark_apps.listings.features import CATEGORIES, NUMBERS, VARIANTS, statement

TODAY = 2020.7
FACTS = Facts(TODAY, {"1hgfc1": "lx fwd", "1hgfc2": "ex, l"})


def by_attribute() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for made, columns in origins(statement(FACTS)).items():
        kind, _, feature = made.partition("_")
        if kind not in {"clean", "unreadable"}:
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
    found = origins(statement(FACTS))

    for name, number in NUMBERS.items():
        cleaned = re.findall(r"clean_\w+", number.sql.format(today=TODAY))
        assert found[f"number_{name}"] == frozenset().union(*(found[one] for one in cleaned)), name


def test_the_numbers_of_a_vector_are_traced_through_its_stages(tmp_path) -> None:
    def stage(kind: str, **params) -> Stage:
        return Stage(kind, params, {}, tmp_path)

    sql = (
        "SELECT * EXCEPT (clean_x), ln(clean_mileage) AS number_log_mileage, year AS number_age, "
        "concat(clean_x, model_name) AS category_model FROM "
        "(SELECT *, mileage AS clean_mileage, lower(make_name) AS clean_x FROM __THIS__)"
    )
    looked_up = (
        "SELECT *, model_by_age * number_age AS model_by_age_product FROM (SELECT *, "
        "CAST(coalesce(get(CAST(split('0.5 year', ' ') AS ARRAY<FLOAT>), CAST(index_model AS INT)), 0) AS "
        "DOUBLE) AS level_model, get(split('1', ' '), index_model) AS model_by_age FROM __THIS__)"
    )
    features = ["number_log_mileage", "level_model", "model_by_age", "model_by_age_product", "number_age"]
    lineage = Lineage.of(
        [
            stage("SQLTransformer", statement=sql),
            stage("StringIndexerModel", inputCols=["category_model"], outputCols=["index_model"]),
            stage("SQLTransformer", statement=looked_up),
            stage("VectorAssembler", inputCols=features, outputCol="values"),
            stage("StandardScalerModel", inputCol="values", outputCol="features"),
        ]
    )

    assert lineage.attributes("features") == ["mileage", *["model_name"] * 3, "year"]
    assert lineage.columns()["model_name"] == ("make_name", "model_name")
