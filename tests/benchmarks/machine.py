"""What the figures of a benchmark were taken on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil

_GIB = 2**30
_CPUS = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """The machine as this process may use it; ``load`` is what others made of it before the benchmark."""

    cpu: str
    cores: int
    memory_gib: float
    load: float
    system: str

    def __str__(self) -> str:
        return (
            f"{self.cpu}, {self.cores} cores, {self.memory_gib:.0f} GiB, {self.system}; load {self.load:.1f}"
        )


def this_machine() -> Machine:
    """Describe the machine of this process, as it is now."""
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=psutil.virtual_memory().total / _GIB,
        load=os.getloadavg()[0],
        system=f"{platform.system()} {platform.release()}",
    )


def _cpu() -> str:
    lines = _CPUS.read_text().splitlines() if _CPUS.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
