"""The source of batches: puts a folder of CSV parts into HDFS the way the watchers expect it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from hdfs import InsecureClient

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger()


def deliver(hdfs_url: str, folder: Path, batch: str) -> int:
    """Upload ``folder``'s CSV parts to ``/batches/<batch>``, ``_SUCCESS`` last; return the bytes uploaded.

    Until ``_SUCCESS`` is there nobody takes the batch for complete: an upload that breaks off does no harm.
    Raises :class:`hdfs.HdfsError` when HDFS refuses.
    """
    client = InsecureClient(hdfs_url, user="simulator")
    parts = sorted(folder.glob("part-*.csv"))
    for part in parts:
        client.upload(f"/batches/{batch}/{part.name}", str(part), overwrite=True)
    client.write(f"/batches/{batch}/_SUCCESS", b"", overwrite=True)
    size = sum(part.stat().st_size for part in parts)
    log.info("batch.delivered", batch=batch, parts=len(parts), bytes=size)
    return size
