"""Fits kept in HDFS, and what happens to half of one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hdfs import InsecureClient

from spark_apps.training.crossvalidation import FoldFit
from spark_apps.training.kept_fits import HdfsFits, kept_fits
from spark_apps.training.metrics import Errors
from spark_apps.training.settings import TrainingSettings

if TYPE_CHECKING:
    from control_plane.settings import Servers

PRICES, REAL = np.array([10_000.5, 7.25, 31_000.0]), np.array([9_000.0, 8.0, 32_000.0])
FIT = FoldFit(
    fold=1,
    chosen={"rounds": 120.0},
    curves={"train": (0.5, 0.25), "stopping": (0.6, 0.4)},
    errors=Errors.of(PRICES, REAL),
    started=1_795_000_000.5,
    fit_seconds=2.5,
    validation_seconds=0.5,
    prices=PRICES,
)


@pytest.fixture
def kept(sandbox: Servers) -> HdfsFits:
    found = kept_fits(sandbox, TrainingSettings(), "kept-batch", "content")
    found.forget()
    return found


def test_a_fit_is_found_as_it_was_kept(kept: HdfsFits) -> None:
    assert kept.find("ridge-1", rows=3) is None
    kept.keep("ridge-1", FIT)
    found = kept.find("ridge-1", rows=3)
    assert found is not None
    assert found.prices.tolist() == PRICES.tolist()
    assert replace(found, prices=PRICES) == FIT
    assert kept.find("ridge-1", rows=4) is None, "prices of other rows"


def test_half_a_fit_is_none(kept: HdfsFits, sandbox: Servers) -> None:
    kept.keep("ridge-1", FIT)
    client = InsecureClient(sandbox.hdfs_url)
    path = f"/trainings/kept-batch/{kept.digest}/ridge-1.parquet"
    with client.read(path) as reader:
        whole = reader.read()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        client.write(path, data=whole[:length], overwrite=True)
        assert kept.find("ridge-1", rows=3) is None, length


def test_nothing_is_left_when_the_training_is_done(kept: HdfsFits, sandbox: Servers) -> None:
    kept.keep("ridge-1", FIT)
    kept.forget()
    assert InsecureClient(sandbox.hdfs_url).status("/trainings/kept-batch", strict=False) is None


def test_only_the_same_rows_and_settings_find_it_on_any_machine(sandbox: Servers) -> None:
    def digest(content: str = "content", **settings: object) -> str:
        return kept_fits(sandbox, TrainingSettings(**settings), "kept-batch", content).digest  # type: ignore[arg-type]

    assert digest(cores=3, memory="3g", parallelism=1) == digest()
    assert len({digest(), digest(content="other"), digest(folds=4), digest(boosting_nodes=1_000)}) == 4


def test_without_hdfs_nothing_is_found_and_nothing_fails() -> None:
    away = HdfsFits(InsecureClient("http://127.0.0.1:9", timeout=5), "batch", "digest")
    away.keep("ridge-1", FIT)
    assert away.find("ridge-1", rows=3) is None
    away.forget()
