"""What every contestant is given: the servers, the batch, and how much it may take."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hdfs import InsecureClient

from control_plane.sandbox.java import java_home
from control_plane.sandbox.sandbox import Sandbox
from control_plane.simulator.batches import deliver
from control_plane.simulator.generator import generate
from spark_apps.training.settings import TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from control_plane.demo.view import View
    from control_plane.settings import Servers

GENERATED = 11  # the seed of what is trained on


@dataclass(frozen=True)
class Setup:
    """One run of a benchmark; ``folder`` is temporary, ``logs`` stay.

    ``memory`` is the heap of a training's JVM, ``limit_s`` the longest that one contestant may take.
    """

    servers: Servers
    folder: Path
    logs: Path
    folds: int
    grid: int
    cores: int
    memory: str
    limit_s: float
    view: View

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a contestant's process; settings that were not asked for stay."""
        return {
            **os.environ,
            **self.servers.environment(),
            "LOG_FORMAT": "json",
            "TRAINING_CORES": str(self.cores),
            "TRAINING_CUMULATIVE": "false",  # each on the rows of its own batch alone
            "TRAINING_FOLDS": str(self.folds),
            "TRAINING_GRID": str(self.grid),
            "TRAINING_MEMORY": self.memory,
            **more,
        }


@dataclass(frozen=True)
class Batch:
    """Generated listings in HDFS.

    ``best_rmse`` is that of a model which knows how they were drawn, with all that is left empty, of those
    that a training takes by their price.
    """

    name: str
    rows: int
    best_rmse: float


@contextmanager
def servers(home: Path) -> Iterator[Servers]:
    """Run the sandbox's servers in ``home`` while the context lasts."""
    os.environ["JAVA_HOME"] = str(java_home())
    with Sandbox(home) as running:
        yield running


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder that is removed in the end, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="bench-training-") as folder:
        yield Path(folder)


@contextmanager
def generated_batch(setup: Setup, rows: int) -> Iterator[Batch]:
    """Put a batch of ``rows`` generated listings into HDFS; in the end it is removed, for room."""
    name = f"generated-{rows}"
    with setup.view.work(f"generating {rows:,} listings", total=rows) as show:
        made, done = setup.folder / name, 0

        def on_rows(new: int) -> None:
            nonlocal done
            done += new
            show(done, f"{done:,}")

        taken = TrainingSettings()
        prices = taken.price_min, taken.price_max
        report = generate(rows, GENERATED, made, within=prices, on_rows=on_rows)
    with setup.view.work(f"uploading {report.bytes / 1e6:,.0f} MB to HDFS"):
        deliver(setup.servers.hdfs_url, made, name)
    shutil.rmtree(made)
    try:
        yield Batch(name, rows, report.best.rmse)
    finally:
        InsecureClient(setup.servers.hdfs_url, user="simulator").delete(f"/batches/{name}", recursive=True)
