"""Records the class archive with which Spark starts in half the time.

Run as ``python -m spark_apps.record_classes``. It plays a short rehearsal of what the apps do, so that their
classes are in the archive.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from pyspark.ml import Estimator, Pipeline, Transformer
from pyspark.ml.feature import SQLTransformer, StringIndexer, VectorAssembler
from pyspark.ml.regression import GBTRegressor, LinearRegression
from pyspark.sql import functions as F  # its name everywhere

from control_plane import logs
from control_plane.sandbox import class_data
from spark_apps import jars
from spark_apps.session import end_session, java_home, spark_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = structlog.get_logger()

_RECORDING_S = 300.0


def record_classes() -> None:
    """Record the archive, unless it is there."""
    archive = jars.class_archive(java_home())
    if archive.exists():
        return
    log.info("spark.rehearsal", purpose="record its classes")
    recording = " ".join(class_data.record(archive))
    conf = {"spark.log.level": "ERROR", "spark.driver.extraJavaOptions": recording}
    session = spark_session("rehearsal", cores=2, memory="1g", conf=conf)
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        rehearse(session, Path(folder))
    end_session(session, _RECORDING_S)
    log.info("spark.recorded", archive=archive.name, kept=class_data.keep(archive))


def rehearse(session: SparkSession, folder: Path) -> None:
    """Read CSV, parse, fit and keep a pipeline, and stream a moment."""
    rows = session.range(200).select(
        (F.col("id") % 7).cast("string").alias("make"), F.rand(1).alias("miles"), F.rand(2).alias("price")
    )
    rows.write.csv(f"{folder}/csv", header=True)
    listings = session.read.csv(f"{folder}/csv", header=True, multiLine=True)
    typed = "SELECT make, try_cast(miles AS double) miles, try_cast(price AS double) price FROM __THIS__"
    stages: list[Estimator[Any] | Transformer] = [
        SQLTransformer(statement=typed),
        StringIndexer(inputCol="make", outputCol="make_index", handleInvalid="keep"),
        VectorAssembler(inputCols=["make_index", "miles"], outputCol="features"),
        GBTRegressor(labelCol="price", maxIter=2, predictionCol="boosted", seed=1),
        LinearRegression(labelCol="price"),
    ]
    model = Pipeline(stages=stages).fit(listings)
    model.write().overwrite().save(f"{folder}/model")
    model.transform(listings).select(F.to_json(F.struct("prediction"))).write.parquet(f"{folder}/parquet")
    ticks = session.readStream.format("rate").load().withWatermark("timestamp", "1 second")
    counts = ticks.groupBy(F.window("timestamp", "1 second")).count()
    query = counts.writeStream.format("noop").option("checkpointLocation", f"{folder}/checkpoint")
    query.trigger(availableNow=True).start().awaitTermination()


if __name__ == "__main__":
    logs.configure()
    record_classes()
