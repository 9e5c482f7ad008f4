"""How the sandbox's Java servers are started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from control_plane.sandbox import artifacts, class_data
from control_plane.sandbox.processes import ManagedProcess

if TYPE_CHECKING:
    from pathlib import Path

    from control_plane.sandbox.layout import Layout


@dataclass(frozen=True)
class Program:
    """A Java program: its main class, the Maven coordinates it comes from, and what it may use.

    ``quick_start`` leaves out the optimising compiler, which halves the processor time of a start and costs
    speed under load that a server of metadata does not need.
    """

    name: str
    main: str
    coordinates: tuple[str, ...]
    heap_mb: int
    more_jars: tuple[Path, ...] = ()
    quick_start: bool = False

    @property
    def jars(self) -> list[Path]:
        """Its class path."""
        return [*artifacts.jars(self.coordinates), *self.more_jars]


@dataclass(frozen=True)
class Jvm:
    """The Java that the servers below one home run on."""

    java: Path
    layout: Layout
    record_classes: bool = False

    def server(self, program: Program, *arguments: str) -> ManagedProcess:
        """Return a server's process, not yet started, that logs to ``<its name>.log``."""
        archive = self.archive(program)
        options = class_data.record(archive) if self.record_classes else class_data.use(archive)
        return self._process(program.name, program.name, [*options, *_command(program, arguments)])

    def tool(self, program: Program, main: str, *arguments: str, heap_mb: int) -> ManagedProcess:
        """Return a process that runs another main class of ``program`` once; it logs where that does."""
        tool = Program(program.name, main, program.coordinates, heap_mb, program.more_jars, quick_start=True)
        options = class_data.use(self.archive(program))
        return self._process(f"{program.name}-tool", program.name, [*options, *_command(tool, arguments)])

    def archive(self, program: Program) -> Path:
        """Return the file of a program's class archive."""
        return class_data.archive_file(program.name, self.java, program.jars)

    def _process(self, name: str, log: str, arguments: list[str]) -> ManagedProcess:
        scratch = self.layout.scratch
        tidy = (
            "-XX:-UsePerfData",  # else a file in /tmp/hsperfdata_<user>
            f"-XX:ErrorFile={scratch}/hs_err_%p.log",
            f"-Djava.io.tmpdir={scratch}",
        )
        return ManagedProcess(
            name,
            [self.java / "bin" / "java", *tidy, *arguments],
            log_file=self.layout.log_file(log),
            env=self.layout.environment(self.java),
        )


def _command(program: Program, arguments: tuple[str, ...]) -> list[str]:
    return [
        f"-Xmx{program.heap_mb}m",
        "-Xms32m",
        "-XX:+UseSerialGC",  # the smallest and, on heaps like these, the quickest to start
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.net.preferIPv4Stack=true",
        "-Djava.awt.headless=true",
        *(["-XX:TieredStopAtLevel=1"] if program.quick_start else []),
        *_logging(),
        "-cp",
        ":".join(map(str, program.jars)),
        program.main,
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
