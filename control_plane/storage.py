"""HDFS, as far as the control plane needs it: which batches have landed, and where logs of jobs are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests
from hdfs import HdfsError, InsecureClient

from control_plane.reachable import plainly

BATCHES = "/batches"
COMPLETE = "_SUCCESS"
LOGS = "/logs"

_TIMEOUT_S = 30.0


class StorageUnavailableError(RuntimeError):
    """HDFS did not answer, or refused; the message names its address and the reason."""


@dataclass(frozen=True)
class LandedBatch:
    """A batch whose ``_SUCCESS`` is there: its data files, their bytes, and when it was complete (ms)."""

    batch: str
    path: str
    files: int
    bytes: int
    completed_ms: int


def landed_batches(hdfs_url: str) -> list[LandedBatch]:
    """Return the complete batches under ``/batches``, the first to be complete first."""
    client = InsecureClient(hdfs_url, timeout=_TIMEOUT_S)
    try:
        if client.status(BATCHES, strict=False) is None:
            client.status("/")  # which every HDFS has: any web server may say that a folder is not there
            return []
        folders = client.list(BATCHES, status=True)
        names = [name for name, status in folders if status["type"] == "DIRECTORY"]
        found = [batch for name in names if (batch := _landed(client, name))]
    except (HdfsError, requests.RequestException) as error:
        raise StorageUnavailableError(f"HDFS at {hdfs_url} did not answer: {plainly(error)}") from error
    return sorted(found, key=lambda batch: (batch.completed_ms, batch.batch))


def _landed(client: Any, name: str) -> LandedBatch | None:
    path = f"{BATCHES}/{name}"
    files = {file: status for file, status in client.list(path, status=True) if status["type"] == "FILE"}
    if COMPLETE not in files:
        return None
    # As Hadoop and Spark see it: what begins with an underscore or a dot is no data.
    data = [status["length"] for file, status in files.items() if file[0] not in "._"]
    return LandedBatch(name, path, len(data), sum(data), files[COMPLETE]["modificationTime"])


def keep_log(hdfs_url: str, job: str, log: bytes) -> str:
    """Write a job's log to ``/logs`` and return its path; an earlier one of the job is replaced."""
    path = f"{LOGS}/{job}.log"
    try:
        InsecureClient(hdfs_url, timeout=_TIMEOUT_S).write(path, log, overwrite=True)
    except (HdfsError, requests.RequestException) as error:
        raise StorageUnavailableError(f"HDFS at {hdfs_url} did not answer: {plainly(error)}") from error
    return path
