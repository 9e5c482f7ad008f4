"""The periodic checks: which batches have landed in HDFS, which models were registered in MLflow, and whether
the one that serves has degraded by the topic ``metrics``.

Each publishes what its control topic does not hold yet, and keeps no state of its own. Event ids follow from
what was found, so two watchers at once, or one twice, do no harm: readers drop what they have seen.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import KafkaException

from control_plane import audit, events, metrics_log, quality, registry, storage
from control_plane.settings import Quality, Watching, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from control_plane.settings import Servers

log = structlog.get_logger()

SOURCE = "/watchers"
SERVER_AWAY = (
    audit.LogUnavailableError,
    registry.RegistryUnavailableError,
    storage.StorageUnavailableError,
    KafkaException,
)


def arrivals(
    landed: Iterable[storage.LandedBatch], known: Iterable[events.Recorded]
) -> list[events.BatchArrived]:
    """Return an event for each landed batch that the log does not know, in the order of their landing."""
    told = {record.id for record in known}
    found = (
        events.BatchArrived(batch=batch.batch, path=batch.path, files=batch.files, bytes=batch.bytes)
        for batch in landed
    )
    return [event for event in found if event.id not in told]


def registrations(
    versions: Iterable[registry.ModelVersion], known: Iterable[events.Recorded], model: str = registry.MODEL
) -> list[events.ModelRegistered]:
    """Return an event for each registered version that the log does not know, the oldest first."""
    told = {record.id for record in known}
    found = (
        events.ModelRegistered(
            version=version.version,
            model=model,
            run_id=version.run_id,
            batches=list(version.batches),
            digest=version.digest,
        )
        for version in versions
    )
    return [event for event in found if event.id not in told]


def watch_batches(servers: Servers) -> Sequence[events.Event]:
    """Publish ``batch.arrived`` for what is new in HDFS, and return what was published."""
    known = audit.read(servers.kafka_bootstrap_servers, events.BATCHES)
    return _published(servers, arrivals(storage.landed_batches(servers.hdfs_url), known))


def watch_models(servers: Servers) -> Sequence[events.Event]:
    """Publish ``model.registered`` for what is new in MLflow, and return what was published."""
    known = audit.read(servers.kafka_bootstrap_servers, events.MODELS)
    versions = registry.Registry(servers.mlflow_tracking_uri).versions()
    return _published(servers, registrations(versions, known))


def watch_quality(servers: Servers) -> Sequence[events.Event]:
    """Publish ``model.degraded`` for what ``metrics`` says of the model that serves, and return it."""
    bounds = load(Quality)
    known = audit.read(servers.kafka_bootstrap_servers, events.MODELS)
    if (serves := quality.serving(known)) is None:
        return []
    since_ms = round((time.time() - bounds.lookback) * 1000)
    metrics = metrics_log.since(servers.kafka_bootstrap_servers, since_ms)
    rmse = _held_out_rmse(servers.mlflow_tracking_uri, serves.run_id) if metrics and serves.run_id else None
    return _published(servers, quality.degradations(metrics, known, serves, rmse, bounds))


@lru_cache(maxsize=1)  # a run's figures never change
def _held_out_rmse(tracking_uri: str, run_id: str) -> float | None:
    try:
        return registry.Registry(tracking_uri).metrics(run_id).get("test.stack.rmse")
    except registry.RegistryRefusedError:  # a run that was deleted
        return None


def _published(servers: Servers, new: Sequence[events.Event]) -> Sequence[events.Event]:
    if new:
        audit.publish(servers.kafka_bootstrap_servers, *new, source=SOURCE)
    for event in new:
        log.info(event.type, **event.model_dump(mode="json"))
    return new


def watch_every(
    seconds: float,
    watches: Sequence[Callable[[Servers], object]],
    servers: Servers,
    *,
    heartbeat: Path | None = None,
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Run the checks again and again, and touch ``heartbeat`` after each round.

    A server that is away is waited for: one warning an outage.
    """
    away: dict[str, str] = {}
    while True:
        for watch in watches:
            _watch_once(watch, servers, away)
        if heartbeat:
            heartbeat.touch()
        pause(seconds)


def _watch_once(watch: Callable[[Servers], object], servers: Servers, away: dict[str, str]) -> None:
    name = watch.__name__
    try:
        watch(servers)
    except SERVER_AWAY as error:
        if name not in away:
            log.warning("watcher.server_away", check=name, reason=str(error))
        away[name] = str(error)
    else:
        if away.pop(name, None):
            log.info("watcher.server_back", check=name)


def run(watches: Sequence[Callable[[Servers], object]], servers: Servers, every: float | None) -> None:
    """Run the checks once, or every so many seconds for ever. Once, a server that is away is an error."""
    if every is None:
        for watch in watches:
            watch(servers)
    else:
        watch_every(every, watches, servers, heartbeat=load(Watching).heartbeat)
