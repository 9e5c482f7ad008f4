"""Leadership in Kubernetes: a Lease of ``coordination.k8s.io``, watched by those who wait for it.

A holder renews it twice a second. One that has not for two seconds ends itself; others may take it after
three. So with the API server away nobody answers rather than two. Each judges the Lease by its own clock
alone: by when it sent the renewal that succeeded, or by when it saw the last change.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
import urllib3
from kubernetes import client, watch

from control_plane.cluster import connect
from spark_apps.serving.leadership import Leader

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger()

LEASE_S = 3.0
DEADLINE_S = 2.0  # without a renewal; what remains to LEASE_S is for the JVM to be gone
RENEW_EVERY_S = 0.5

_REQUEST_S = (0.5, 1.0)  # to connect, to answer
_WATCH_S = 600
_AGAIN_S = 0.2
_NOT_THERE = 404
_CONFLICT = 409
_UNANSWERED = (client.ApiException, urllib3.exceptions.HTTPError)


class LeaseLostError(RuntimeError):
    """This server may not answer any more; the message says why."""


@dataclass(frozen=True)
class Record:
    """A Lease as it was read: its version, who holds it (null: nobody) and how many led before."""

    version: str
    holder: str | None
    epoch: int

    @classmethod
    def of(cls, lease: dict[str, Any]) -> Record:
        """Read the API's object."""
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or None
        return cls(lease["metadata"]["resourceVersion"], holder, spec.get("leaseTransitions") or 0)


@dataclass(frozen=True)
class Seen:
    """A record, and when (monotonic clock) this process first saw it so."""

    record: Record
    at: float = field(default_factory=time.monotonic)

    def now(self, record: Record) -> Seen:
        """Return what is seen when ``record`` is read: the same while it has not changed."""
        return self if record.version == self.record.version else Seen(record)

    @property
    def is_free(self) -> bool:
        """Whether anyone may take it: it was given up, or has not been renewed for its whole duration."""
        return self.record.holder is None or time.monotonic() - self.at >= LEASE_S


class LeaseLeadership:
    """Leadership by the Lease ``name`` in ``namespace``.

    ``deference`` is asked when the Lease is free: the seconds that others, who are wanted more, get to take
    it first. ``lost`` is called, once, when this server led and may not any longer.
    """

    def __init__(
        self,
        namespace: str,
        name: str,
        server: str,
        *,
        deference: Callable[[], float],
        lost: Callable[[LeaseLostError], object],
    ) -> None:
        connect()
        configuration = client.Configuration.get_default_copy()
        configuration.retries = False  # a renewal that is late is no use
        self._leases = client.CoordinationV1Api(client.ApiClient(configuration))
        self._namespace = namespace
        self._name = name
        # A container that starts again in its pod is not the server that held the Lease before.
        self._identity = f"{server}_{uuid.uuid4().hex[:8]}"
        self._deference = deference
        self._lost = lost
        self._held: Record | None = None
        self._writing = threading.Lock()
        self._renewed_at = 0.0

    def acquire(self) -> Leader | None:
        """Block until the Lease is ours, and return who led before; from now on it is renewed."""
        seen: Seen | None = None
        deferred: Record | None = None
        away = False
        while True:
            try:
                record = self._read()
                seen = seen.now(record) if seen else Seen(record)
                if not seen.is_free:
                    seen = self._await_change(seen)
                elif deferred != record and (pause := self._deference()):
                    time.sleep(pause)
                    deferred = record
                elif self._take(record):
                    return self._begin(record)
                away = False
            except _UNANSWERED as error:
                if not away:
                    log.warning("lease.unanswered", reason=str(error))
                away = True
                time.sleep(_AGAIN_S)

    def proclaim(self, leader: Leader) -> None:
        """Keep the epoch in the Lease for the successor."""
        with self._writing:
            if self._held is None or not self._write(self._held, self._identity, leader.epoch):
                raise LeaseLostError("the Lease was taken by another server")

    def release(self) -> None:
        """Give the Lease up if it is ours; when that fails it runs out by itself."""
        with self._writing:
            held, self._held = self._held, None
            if held is not None:
                with suppress(*_UNANSWERED):
                    self._write(held, "", held.epoch)

    def _begin(self, before: Record) -> Leader | None:
        threading.Thread(target=self._renew, name="lease", daemon=True).start()
        threading.Thread(target=self._watch_over, name="lease-deadline", daemon=True).start()
        log.info("lease.acquired", before=before.holder, epoch=before.epoch)
        if before.holder is None and before.epoch == 0:
            return None
        return Leader(server=(before.holder or "").partition("_")[0], epoch=before.epoch)

    def _take(self, record: Record) -> bool:
        with self._writing:
            return self._write(record, self._identity, record.epoch)

    def _renew(self) -> None:
        while True:
            time.sleep(RENEW_EVERY_S)
            with self._writing:
                if self._held is None:
                    return
                try:
                    taken = not self._write(self._held, self._identity, self._held.epoch)
                    if taken:
                        # A renewal may have been done though its answer was lost: then it is still ours.
                        current = self._read()
                        self._held = current
                        taken = current.holder != self._identity
                except _UNANSWERED as error:
                    log.warning("lease.not_renewed", reason=str(error))
                    continue
            if taken:
                self._lost(LeaseLostError(f"the Lease was taken by {current.holder}"))
                return

    def _watch_over(self) -> None:
        """See to the deadline apart from the renewals, which may hang."""
        while self._held is not None:
            left = self._renewed_at + DEADLINE_S - time.monotonic()
            if left <= 0:
                self._lost(LeaseLostError(f"the Lease was not renewed for {DEADLINE_S:g} s"))
                return
            time.sleep(left)

    def _write(self, over: Record, holder: str, epoch: int) -> bool:
        """Write the Lease if it still is ``over``; False if not."""
        sent = time.monotonic()
        lease = {
            "metadata": {"name": self._name, "resourceVersion": over.version},
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": int(LEASE_S),
                "leaseTransitions": epoch,
                "renewTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            },
        }
        try:
            answer = self._leases.replace_namespaced_lease(
                self._name, self._namespace, lease, _preload_content=False, _request_timeout=_REQUEST_S
            )
        except client.ApiException as error:
            if error.status != _CONFLICT:
                raise
            return False
        if holder:
            self._held, self._renewed_at = Record.of(json.loads(answer.data)), sent
        return True

    def _read(self) -> Record:
        try:
            answer = self._leases.read_namespaced_lease(
                self._name, self._namespace, _preload_content=False, _request_timeout=_REQUEST_S
            )
        except client.ApiException as error:
            if error.status != _NOT_THERE:
                raise
            answer = self._leases.create_namespaced_lease(
                self._namespace,
                {"metadata": {"name": self._name}, "spec": {}},
                _preload_content=False,
                _request_timeout=_REQUEST_S,
            )
        return Record.of(json.loads(answer.data))

    def _await_change(self, seen: Seen) -> Seen:
        """Follow the changes until the Lease is given up, is gone, or does not change for its duration."""
        changes = watch.Watch().stream(
            self._leases.list_namespaced_lease,
            self._namespace,
            field_selector=f"metadata.name={self._name}",
            resource_version=seen.record.version,
            timeout_seconds=_WATCH_S,
            _request_timeout=(_REQUEST_S[0], LEASE_S),
        )
        # A server that says nothing for so long is how a holder's death shows.
        with suppress(urllib3.exceptions.ReadTimeoutError):
            for change in changes:
                seen = seen.now(Record.of(change["raw_object"]))
                if change["type"] == "DELETED" or seen.is_free:
                    break
        return seen
