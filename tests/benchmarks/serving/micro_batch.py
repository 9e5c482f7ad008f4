"""The same model in Spark's micro-batches, by its guide: one begins as soon as the last is done.

``python -m tests.benchmarks.serving.micro_batch REQUESTS ANSWERS VERSION CORES MEMORY FOLDER`` until SIGTERM.
Its expressions, from the request to the answer, are the project's own. What it does not do: answer once (a
batch that was killed is written again), or hand over (a new one starts Spark and compiles for a while).
"""

from __future__ import annotations

import sys
from pathlib import Path

from pyspark.sql import functions as F

from control_plane.settings import Servers, load
from spark_apps.serving.answers import answers
from spark_apps.serving.model import fetch
from spark_apps.serving.requests import requests
from spark_apps.serving.settings import Serving
from spark_apps.session import spark_session


def main() -> None:
    """Answer until stopped."""
    asked, answered, version, cores, memory, folder = sys.argv[1:]
    settings, kafka = load(Serving), load(Servers).kafka_bootstrap_servers
    files = Path(folder) / "model"
    files.mkdir(parents=True)
    model = fetch(settings.model, int(version), files)
    conf = {
        "spark.sql.variant.allowDuplicateKeys": "true",  # as the project's requests need it
        "spark.driver.extraJavaOptions": "-Xss4m",
        "spark.sql.shuffle.partitions": cores,
    }
    spark = spark_session("micro-batch", cores=cores, memory=memory, conf=conf)
    source = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", kafka)
        .option("kafka.fetch.max.wait.ms", settings.fetch_wait_ms)
        .option("subscribe", asked)
        .option("startingOffsets", "earliest")
        .load()
    )
    scored = model.load(spark).transform(requests(source, max_bytes=settings.max_request_bytes))
    query = (
        answers(scored, epoch=F.lit(0), model_version=int(version))
        .writeStream.format("kafka")
        .option("kafka.bootstrap.servers", kafka)
        .option("kafka.linger.ms", "0")
        .option("topic", answered)
        .option("checkpointLocation", (Path(folder) / "checkpoint").as_uri())
        .start()
    )
    sys.stderr.write("ready\n")
    query.awaitTermination()


if __name__ == "__main__":
    main()
