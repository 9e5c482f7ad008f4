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
    now = {
        "serving": serving(audit.servers(bootstrap_servers)),
        "models": models(audit.read(bootstrap_servers, events.MODELS)),
        "batches": batches(audit.read(bootstrap_servers, events.BATCHES)),
    }
    return {"complaints": complaints(now), **now}


def complaints(now: Json) -> list[str]:
    """Return what is not well, the worst first; nothing when a server answers, and the last of all went well.

    Needs: what :func:`serving`, :func:`models` and :func:`batches` return, by these names.
    """
    found, serves = [], now["serving"]
    if serves["active"] is None:
        found.append("no server answers" if now["models"] else "there is no model yet")
    elif not serves["standby"]:
        found.append("no server stands by")
    found += [
        f"model {model['model_version']} has degraded: {', '.join(model['degraded'])}"
        for model in now["models"]
        if model["status"] == "serving" and "degraded" in model
    ]
    last = {name: now[name][-1] if now[name] else {} for name in ("models", "batches")}
    if last["models"].get("status") == "failed":
        found.append(f"model {last['models']['model_version']} did not come: {last['models']['reason']}")
    if last["batches"].get("status") == "failed":
        found.append(f"batch {last['batches']['batch']} failed: {last['batches']['reason']}")
    return found


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
                rows[version].pop("degraded", None)  # when it served before
                rows[version] |= {"status": "replaced", "seconds": seconds}
            case events.ModelDegraded(version=version, what=what) if version in rows:
                rows[version]["degraded"] = sorted({what, *rows[version].get("degraded", [])})
            case events.RolloutFailed(version=version, reason=reason) if version in rows:
                rows[version] |= {"status": "failed", "reason": reason}
    now = {state.waiting: "waiting", state.serving: "serving"}
    now |= {state.running.version: "starting"} if state.running else {}
    return [row | ({"status": now[version]} if version in now else {}) for version, row in rows.items()]
