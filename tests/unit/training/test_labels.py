from spark_apps.listings.features import CATEGORY_COLUMNS, VARIANT_COLUMNS, Kept, fit_labels, kept_labels

TRIM, MAKE, VARIANT = "category_trim", "category_make", "variant_model"


def test_the_most_frequent_labels_are_kept_in_order_each_kind_of_column_by_its_own_rule() -> None:
    counts = {
        (TRIM, "a"): 3,
        (TRIM, "b"): 9,
        (TRIM, "c"): 2,
        (MAKE, "m"): 1,
        (VARIANT, "x"): 2,
        (VARIANT, "y"): 2,
        (VARIANT, "z"): 1,
    }

    kept = kept_labels(categories=Kept(3, 9), models=Kept(1, 9), variants=Kept(2, 1))
    found = fit_labels(counts, kept)

    assert found.labels[TRIM] == ("b", "a")
    assert found.labels[MAKE] == ("m",)
    assert found.labels[VARIANT] == ("x",), "of equally frequent ones the first by name"
    assert set(found.labels) == {*CATEGORY_COLUMNS, *VARIANT_COLUMNS}
