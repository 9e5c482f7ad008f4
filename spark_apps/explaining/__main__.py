"""``python -m spark_apps.explaining <model> <version>``: explains listings until its input ends.

Each line in is a listing (a JSON object of raw columns); each line out is its explanation, or
``{"error": "<one sentence>"}``. The first line out is ``{"ready": <version>}``, or the error because of which
there is nothing to explain with; then the exit status is 1. It is a process of its own because the control
plane has no Spark, and one that stays because a page asks again and again.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import msgspec
import structlog

from control_plane import logs
from control_plane.settings import SettingsError, load
from spark_apps.explaining.errors import ExplanationError, ListingError
from spark_apps.serving.model import Fetch, ModelError
from spark_apps.serving.settings import Serving
from spark_apps.session import SparkUnavailableError, spark_session

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger()

# Nothing here runs often enough to be worth compiling it well, or Spark's plans at all.
_CONF = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.log.level": "ERROR",
}


def main() -> int:
    """Explain what comes in, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m spark_apps.explaining", description="Explain listings.")
    parser.add_argument("model", help="the registered model's name")
    parser.add_argument("version", type=int)
    arguments = parser.parse_args()
    logs.configure()
    with tempfile.TemporaryDirectory(prefix="explaining-") as folder, _own_output() as output:
        say = partial(_say, output)
        try:
            _explain(arguments.model, arguments.version, Path(folder), say)
        except (ExplanationError, ModelError, SettingsError, SparkUnavailableError) as error:
            say({"error": str(error)})
            return 1
    return 0


def _own_output() -> TextIO:
    """Keep standard output to ourselves: what the JVM prints there from now on goes to standard error."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return output


def _explain(model: str, version: int, folder: Path, say: Callable[[Any], None]) -> None:
    settings = load(Serving)
    fetch = Fetch.begin(model, version, folder)  # takes seconds, and so does Spark
    spark = spark_session("explaining", cores=1, memory=settings.memory, conf=_CONF)
    log.info("explaining.spark_started")
    from spark_apps.explaining.explainer import Explainer  # noqa: PLC0415  # meanwhile

    explainer = Explainer(spark, fetch.result(), max_bytes=settings.max_request_bytes)
    log.info("explaining.model_loaded", model=model, version=version)
    say({"ready": version})
    for line in sys.stdin:
        try:
            say(explainer.explain(line.strip()))
        except (ExplanationError, ListingError) as error:
            say({"error": str(error)})


def _say(output: TextIO, answer: Any) -> None:
    output.write(msgspec.json.encode(answer).decode() + "\n")
    output.flush()


if __name__ == "__main__":
    sys.exit(main())
