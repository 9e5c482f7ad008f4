"""What is going on now, told from the control topics alone: what serves, and where batches and models are."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any, TypeAlias

from control_plane import audit, events
from control_plane.decisions import Rollouts, Trainings, on_batch_event, on_model_event

if TYPE_CHECKING:
    from collections.abc import Iterable

Json: TypeAlias = dict[str, Any]


def status(bootstrap_servers: str) -> Json:
    """Return the status as ``pipelines status --json`` prints it."""
    return {
        "serving": serving(audit.servers(bootstrap_servers)),
        "models": models(audit.read(bootstrap_servers, events.MODELS)),
        "batches": batches(audit.read(bootstrap_servers, events.BATCHES)),
    }


def serving(servers: Iterable[events.ServerAnnouncement]) -> Json:
    """Return which server answers, and which stand by, are on their way or answer in the shadow."""
    servers = list(servers)
    leads = leader(servers)
    return {
        "active": _server(leads) if leads else None,
        "standby": [_server(server) for server in servers if server.role == "standby"],
        "starting": [_server(server) for server in servers if server.role == "starting"],
        "shadow": [_server(server) for server in servers if server.role == "shadow"],
    }


def leader(servers: Iterable[events.ServerAnnouncement]) -> events.ServerAnnouncement | None:
    """Return the server that answers.

    A killed one cannot take back its word: of several that call themselves active the last one is.
    """
    active = [server for server in servers if server.role == "active"]
    return max(active, key=lambda server: (server.epoch or 0, server.since), default=None)


def _server(server: events.ServerAnnouncement) -> Json:
    place: Json = {"pod": server.pod} if server.pod else {"pid": server.pid, "pids": server.pids}
    leads: Json = {"epoch": server.epoch} if server.role in {"active", "shadow"} else {}
    return {**place, "model_version": server.model_version, **leads}


def batches(records: Iterable[events.Recorded]) -> list[Json]:
    """Return each batch with its status (waiting, training, trained, failed) and what came of it."""
    records = list(records)
    state = reduce(lambda state, record: on_batch_event(state, record)[0], records, Trainings())
    rows: dict[str, Json] = {
        name: {"batch": name, "status": str(batch.status), "attempt": batch.attempt}
        for name, batch in state.batches.items()
    }
    for event in (record.event for record in records):
        match event:
            case events.BatchArrived(batch=name, files=files, bytes=size):
                rows[name] |= {"files": files, "bytes": size}
            case events.TrainingRequested(batch=name) if name in rows:
                rows[name].pop("reason", None)  # of what is tried anew
            case events.TrainingSucceeded(batch=name) if name in rows:
                rows[name].pop("reason", None)  # of an attempt before
                rows[name] |= {
                    "run_id": event.run_id,
                    "model_version": event.version,
                    "seconds": event.seconds,
                }
            case events.TrainingFailed(batch=name, reason=reason) if name in rows:
                rows[name] |= {"reason": reason}
    return list(rows.values())


def models(records: Iterable[events.Recorded]) -> list[Json]:
    """Return each version with its status: registered, waiting, starting, serving, replaced or failed."""
    records = list(records)
    state = reduce(lambda state, record: on_model_event(state, record)[0], records, Rollouts())
    rows: dict[int, Json] = {}
    for event in (record.event for record in records):
        match event:
            case events.ModelRegistered(version=version):
                registered = {"model_version": version, "status": "registered"}
                rows[version] = registered | event.model_dump(include={"run_id", "batches", "digest"})
            case events.RolloutSucceeded(version=version, seconds=seconds) if version in rows:
                rows[version] |= {"status": "replaced", "seconds": seconds}
            case events.RolloutFailed(version=version, reason=reason) if version in rows:
                rows[version] |= {"status": "failed", "reason": reason}
    now = {state.waiting: "waiting", state.serving: "serving"}
    now |= {state.running.version: "starting"} if state.running else {}
    return [row | ({"status": now[version]} if version in now else {}) for version, row in rows.items()]
