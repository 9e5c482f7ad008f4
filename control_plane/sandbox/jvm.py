"""How the sandbox's Java servers are started."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def java_command(
    java: Path,
    classpath: str,
    main: str,
    *arguments: str,
    heap_mb: int,
    scratch: Path,
    quick_start: bool = False,
) -> list[str]:
    """Return the command line of a small server: bounded memory, and no file outside ``scratch``.

    ``quick_start`` leaves out the optimising compiler, which halves the processor time of a start and costs
    speed under load that a server of metadata does not need.
    """
    return [
        str(java / "bin" / "java"),
        f"-Xmx{heap_mb}m",
        "-Xms32m",
        "-XX:+UseSerialGC",  # the smallest and, on heaps like these, the quickest to start
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",  # else a file in /tmp/hsperfdata_<user>
        f"-XX:ErrorFile={scratch}/hs_err_%p.log",
        f"-Djava.io.tmpdir={scratch}",
        "-Djava.net.preferIPv4Stack=true",
        "-Djava.awt.headless=true",
        *(["-XX:TieredStopAtLevel=1"] if quick_start else []),
        *_logging(),
        "-cp",
        classpath,
        main,
        *arguments,
    ]


def _logging() -> list[str]:
    prefix = "-Dorg.slf4j.simpleLogger"
    quiet = (
        "org.apache.kafka.common.config.AbstractConfig",  # prints all 400 settings
        "org.apache.hadoop.hdfs.server.datanode.fsdataset.impl.FsDatasetImpl",  # 1,000 lines a start
        "http.requests",
    )
    return [
        f"{prefix}.showDateTime=true",
        f"{prefix}.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
        *(f"{prefix}.log.{logger}=warn" for logger in quiet),
    ]
