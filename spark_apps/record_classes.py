"""Records the class archive with which Spark starts in half the time.

Run as ``python -m spark_apps.record_classes``. It plays a short rehearsal of what the apps do, so that their
classes are in the archive.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from pyspark.ml import Estimator, Pipeline, PipelineModel, Transformer
from pyspark.ml.classification import LinearSVC
from pyspark.ml.feature import OneHotEncoder, SQLTransformer, StringIndexer, VectorAssembler
from pyspark.ml.regression import GBTRegressor, LinearRegression
from pyspark.sql import functions as F  # its name everywhere

from control_plane import logs
from control_plane.sandbox import class_data
from spark_apps import jars
from spark_apps.session import end_session, java_home, spark_session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

log = structlog.get_logger()

_RECORDING_S = 300.0
_ROCKSDB = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"


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
    """Read CSV, fit, keep and load a pipeline, stream a moment, and make Kafka's clients."""
    rows = session.range(200).select(
        (F.col("id") % 7).cast("string").alias("make"), F.rand(1).alias("miles"), F.rand(2).alias("price")
    )
    rows.write.csv(f"{folder}/csv", header=True)
    listings = session.read.csv(f"{folder}/csv", header=True, multiLine=True)
    _learn(listings, folder)
    _stream(session, folder)
    _make_kafka_clients(session)


def _learn(listings: DataFrame, folder: Path) -> None:
    typed = "SELECT make, try_cast(miles AS double) miles, try_cast(price AS double) price FROM __THIS__"
    stages: list[Estimator[Any] | Transformer] = [
        SQLTransformer(statement=typed),
        StringIndexer(inputCol="make", outputCol="make_index", handleInvalid="keep"),
        OneHotEncoder(inputCols=["make_index"], outputCols=["one_hot"], handleInvalid="keep"),
        VectorAssembler(inputCols=["one_hot", "miles"], outputCol="features"),
        GBTRegressor(labelCol="price", maxIter=2, predictionCol="boosted", seed=1),
        LinearRegression(labelCol="price", solver="normal"),
    ]
    Pipeline(stages=stages).fit(listings).write().overwrite().save(f"{folder}/model")
    priced = PipelineModel.load(f"{folder}/model").transform(listings).localCheckpoint()
    priced.select(F.to_json(F.struct("prediction"))).write.parquet(f"{folder}/parquet")
    priced.agg(F.percentile_approx("prediction", 0.5)).collect()
    priced.select("prediction").toArrow()
    dear = priced.select("features", F.round("price").alias("dear"))
    LinearSVC(labelCol="dear", maxIter=2).fit(dear)


def _stream(session: SparkSession, folder: Path) -> None:
    session.conf.set("spark.sql.streaming.stateStore.providerClass", _ROCKSDB)
    ticks = session.readStream.format("rate").load().withWatermark("timestamp", "1 second")
    counts = ticks.groupBy(F.window("timestamp", "1 second")).count()
    query = counts.writeStream.format("noop").option("checkpointLocation", f"{folder}/checkpoint")
    query.trigger(availableNow=True).start().awaitTermination()


def _make_kafka_clients(session: SparkSession) -> None:
    """Make a consumer and a producer that never reach a broker."""
    jvm: Any = session._jvm
    settings = jvm.java.util.Properties()
    settings["bootstrap.servers"] = "127.0.0.1:9"
    bytes_by = "org.apache.kafka.common.serialization.ByteArray"
    for side in ("key", "value"):
        settings[f"{side}.serializer"] = f"{bytes_by}Serializer"
        settings[f"{side}.deserializer"] = f"{bytes_by}Deserializer"
    consumer = jvm.org.apache.kafka.clients.consumer.KafkaConsumer(settings)
    topics = jvm.java.util.ArrayList()
    topics.append(jvm.org.apache.kafka.common.TopicPartition("none", 0))
    consumer.assign(topics)
    consumer.poll(jvm.java.time.Duration.ofMillis(100))
    for client in (consumer, jvm.org.apache.kafka.clients.producer.KafkaProducer(settings)):
        client.close(jvm.java.time.Duration.ZERO)


if __name__ == "__main__":
    logs.configure()
    record_classes()
