"""Fits of a cross-validation in HDFS, so that another attempt goes on where one was killed.

They are found again only by the same code, with the same settings, on the same rows: a digest of all three
names their folder.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import requests
import structlog
from hdfs import HdfsError, InsecureClient

from spark_apps.model_digest import code_version
from spark_apps.training.crossvalidation import FoldFit
from spark_apps.training.metrics import Errors

if TYPE_CHECKING:
    from control_plane.settings import Servers
    from spark_apps.training.settings import TrainingSettings

log = structlog.get_logger()

_ROOT = "/trainings"
_META = b"fit"
_TIMEOUT_S = 60
# What changes how a training runs and nothing of what comes of it.
_OF_THE_MACHINE = {"cores", "memory", "java_options", "parallelism", "model_name", "experiment"}


@dataclass(frozen=True)
class HdfsFits:
    """Fits under ``/trainings/<batch>/<digest>``, one Parquet file each: its prices, the rest as metadata.

    They save time and nothing depends on them: HDFS failing here is a warning.
    """

    client: InsecureClient
    batch: str
    digest: str

    def find(self, name: str, rows: int) -> FoldFit | None:
        """Return the fit of this name with prices of so many rows, or None: what is half written is none."""
        try:
            with self.client.read(self._path(name)) as reader:
                found = _decoded(reader.read())
        except HdfsError:
            return None  # as a rule: there is none
        except (requests.RequestException, pa.ArrowInvalid, ValueError, TypeError, KeyError) as error:
            log.warning("training.fit_unreadable", fit=name, reason=str(error))
            return None
        if len(found.prices) != rows:
            return None
        log.info("training.member.fitted_before", fit=name)
        return found

    def keep(self, name: str, fit: FoldFit) -> None:
        """Keep a fit under a name."""
        try:
            self.client.write(self._path(name), data=_encoded(fit), overwrite=True)
        except (HdfsError, requests.RequestException) as error:
            log.warning("training.fit_not_kept", fit=name, reason=str(error))

    def forget(self) -> None:
        """Remove all of the batch's, of earlier settings and code too: its training is done."""
        try:
            self.client.delete(f"{_ROOT}/{self.batch}", recursive=True)
        except (HdfsError, requests.RequestException) as error:
            log.warning("training.fits_not_removed", reason=str(error))

    def _path(self, name: str) -> str:
        return f"{_ROOT}/{self.batch}/{self.digest}/{name}.parquet"


def kept_fits(servers: Servers, settings: TrainingSettings, batch: str, content: str) -> HdfsFits:
    """Return the fits of trainings on ``batch`` by this code and these settings.

    ``content`` is the digest of the rows.
    """
    told = settings.model_dump_json(exclude=_OF_THE_MACHINE)
    key = hashlib.sha256(f"{code_version()}\0{told}\0{content}".encode()).hexdigest()[:16]
    return HdfsFits(InsecureClient(servers.hdfs_url, timeout=_TIMEOUT_S), batch, key)


def _encoded(fit: FoldFit) -> bytes:
    meta = {name: value for name, value in vars(fit).items() if name not in {"prices", "errors"}}
    meta["errors"] = asdict(fit.errors)
    table = pa.table({"price": fit.prices}).replace_schema_metadata({_META: json.dumps(meta).encode()})
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def _decoded(content: bytes) -> FoldFit:
    table = pq.read_table(io.BytesIO(content))
    meta = json.loads((table.schema.metadata or {})[_META])
    curves = {name: tuple(curve) for name, curve in meta.pop("curves").items()}
    errors = Errors(**meta.pop("errors"))
    return FoldFit(**meta, curves=curves, errors=errors, prices=table.column("price").to_numpy())
