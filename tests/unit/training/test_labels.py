from spark_apps.listings.features import CATEGORY_COLUMNS, VARIANT_COLUMNS, Kept, fit_labels

MAKE, MODEL = "category_make", "variant_model"


def test_the_most_frequent_labels_are_kept_in_order_each_kind_of_column_by_its_own_rule() -> None:
    counts = {
        (MAKE, "a"): 3,
        (MAKE, "b"): 9,
        (MAKE, "c"): 2,
        (MODEL, "x"): 2,
        (MODEL, "y"): 2,
        (MODEL, "z"): 1,
    }

    found = fit_labels(counts, categories=Kept(at_least=3, at_most=9), variants=Kept(at_least=2, at_most=1))

    assert found.labels[MAKE] == ("b", "a")
    assert found.labels[MODEL] == ("x",), "of equally frequent ones the first by name"
    assert set(found.labels) == {*CATEGORY_COLUMNS, *VARIANT_COLUMNS}
