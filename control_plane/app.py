"""The control plane: a faust app whose agents do what ``decisions`` say, and publish how it ended."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError
from pydantic import TypeAdapter

from control_plane import events, logs, storage
from control_plane.decisions import (
    Batch,
    Launch,
    Publish,
    Rollouts,
    SetChampion,
    StartRollout,
    Trainings,
    on_batch_event,
    on_model_event,
)
from control_plane.followers import follow_rollout, follow_training, persist
from control_plane.launchers.local import LocalRolloutLauncher, LocalTrainingLauncher
from control_plane.registry import Registry, RegistryRefusedError
from control_plane.settings import ControlPlane, Home, Kubernetes, OnDegraded, Servers, Topics, load
from control_plane.topics import ensure_topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
    from pathlib import Path

    from control_plane.decisions import Action
    from control_plane.launchers.base import RolloutLauncher, TrainingLauncher

log = structlog.get_logger()

NAME = "control-plane"
SOURCE = "/control-plane"

_ROW = "rollouts"
_BATCH = TypeAdapter(Batch)
_ROLLOUTS = TypeAdapter(Rollouts)
_HEARTBEAT_S = 1.0
_RETRY_S = 2.0


@dataclass(frozen=True)
class Effects:
    """Where actions become real."""

    trainings: TrainingLauncher
    rollouts: RolloutLauncher
    registry: Registry
    settings: ControlPlane


def control_plane(servers: Servers, settings: ControlPlane, topics: Topics, home: Path) -> faust.App:
    """Return the app, ready for a worker to run it."""
    app = _app(servers, settings, topics, home)
    follower = _Follower(app, effects(servers, settings, home))
    _follow_batches(app, follower)
    _follow_models(app, follower, rolls_back=load(OnDegraded).on_degraded == "rollback")

    async def beat() -> None:
        while True:
            heartbeat_file(settings, home).touch()
            await asyncio.sleep(_HEARTBEAT_S)

    app.task(beat)
    return app


def _follow_batches(app: faust.App, follower: _Follower) -> None:
    table = app.Table("batches", partitions=1, help="a row a batch, by its id")

    async def on_batch(recorded: events.Recorded) -> None:
        before = _trainings(table)
        after, actions = on_batch_event(before, recorded)
        await follower.perform(actions)
        for name, batch in after.batches.items():
            if before.batches.get(name) != batch:
                table[name] = _BATCH.dump_python(batch, mode="json")
        await app.producer.flush()  # the rows are kept before the event counts as read

    @app.agent(_topic(app, events.BATCHES), name="batches")
    async def on_batches(stream: faust.StreamT[bytes]) -> None:
        async for recorded in _recorded(stream):
            await _surely(on_batch, recorded)

    @table.on_recover
    async def resume() -> None:
        if running := _trainings(table).running:
            follower.begin(Launch(running))


def _follow_models(app: faust.App, follower: _Follower, *, rolls_back: bool) -> None:
    table = app.Table("rollouts", partitions=1, help="one row: what serves, what is wanted")

    async def on_model(recorded: events.Recorded) -> None:
        before = _rollouts(table)
        after, actions = on_model_event(before, recorded, rolls_back=rolls_back)
        await follower.perform(actions)
        if after != before:
            table[_ROW] = _ROLLOUTS.dump_python(after, mode="json")
        await app.producer.flush()

    @app.agent(_topic(app, events.MODELS), name="models")
    async def on_models(stream: faust.StreamT[bytes]) -> None:
        async for recorded in _recorded(stream):
            await _surely(on_model, recorded)

    @table.on_recover
    async def resume() -> None:
        state = _rollouts(table)
        if state.running and state.since:
            follower.begin(StartRollout(state.running, state.since))


def _topic(app: faust.App, name: str) -> Any:
    return app.topic(name, key_type=bytes, value_type=bytes)


def heartbeat_file(settings: ControlPlane, home: Path) -> Path:
    """Return the file that is touched every second while the control plane consumes."""
    return settings.heartbeat or home / f"{NAME}.heartbeat"


def effects(servers: Servers, settings: ControlPlane, home: Path) -> Effects:
    """Return what the settings choose to run jobs and rollouts with."""
    trainings, rollouts = _launchers(servers, settings, home)
    return Effects(trainings, rollouts, Registry(servers.mlflow_tracking_uri), settings)


def _launchers(
    servers: Servers, settings: ControlPlane, home: Path
) -> tuple[TrainingLauncher, RolloutLauncher]:
    deadline_s = settings.training_deadline_s
    if settings.launcher == "local":
        trainings = LocalTrainingLauncher(home, settings.training_command, deadline_s, servers.environment())
        return trainings, LocalRolloutLauncher(servers.kafka_bootstrap_servers)
    # Only here: its client takes 30 MB, of which the embedded system has no use.
    from control_plane.launchers import kubernetes  # noqa: PLC0415

    chosen = load(Kubernetes)
    keep_log = partial(storage.keep_log, servers.hdfs_url)
    return (
        kubernetes.KubernetesTrainingLauncher(chosen, deadline_s, keep_log),
        kubernetes.KubernetesRolloutLauncher(chosen),
    )


def _app(servers: Servers, settings: ControlPlane, topics: Topics, home: Path) -> faust.App:
    return faust.App(
        NAME,
        broker=[f"kafka://{broker}" for broker in servers.kafka_bootstrap_servers.split(",")],
        datadir=home / "faust",
        value_serializer="raw",
        key_serializer="raw",
        topic_partitions=1,
        topic_replication_factor=topics.replication,
        topic_disable_leader=True,
        web_enabled=settings.web,
        # Static membership: a restarted control plane takes its place at once, and no session has to expire.
        consumer_group_instance_id=NAME,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 3,
        consumer_auto_offset_reset="earliest",
        # Control events are few: what was read is committed soon, so little is read again.
        broker_commit_interval=0.5,
    )


async def _recorded(stream: faust.StreamT[bytes]) -> AsyncIterator[events.Recorded]:
    async for record in stream.events():
        try:
            yield events.decode(record.value)
        except events.EventError as error:
            place = record.message
            log.warning("control_plane.unreadable", topic=place.topic, offset=place.offset, reason=str(error))


async def _surely(handle: Callable[[events.Recorded], Awaitable[None]], recorded: events.Recorded) -> None:
    """Handle the event until that succeeds: faust acknowledges one whose agent raised, and it is lost."""
    while True:
        try:
            return await handle(recorded)
        except Exception:
            log.exception("control_plane.retry", id=recorded.id, pause_s=_RETRY_S)
            await asyncio.sleep(_RETRY_S)


def _trainings(table: Mapping[str, Any]) -> Trainings:
    return Trainings({name: _BATCH.validate_python(row) for name, row in table.items()})


def _rollouts(table: Mapping[str, Any]) -> Rollouts:
    row = table.get(_ROW)
    return _ROLLOUTS.validate_python(row) if row else Rollouts()


class _Follower:
    """Performs actions. What takes long goes on beside the agents and publishes its end by itself."""

    def __init__(self, app: faust.App, effects: Effects) -> None:
        self._app = app
        self._effects = effects
        self._followed: dict[str, asyncio.Task[None]] = {}

    async def perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Publish(event):
                    await self._publish(event)
                case SetChampion(version):
                    await self._set_champion(version)
                case _:
                    self.begin(action)

    def begin(self, action: Launch | StartRollout) -> None:
        """Follow what was started, unless it is or was followed already.

        After a crash it is begun from the table, and once more when the event is read again: by then it may
        have ended, and its end need not be told twice.
        """
        name = action.started.id
        if name in self._followed:
            return
        log.info("control_plane.following", started=name)
        task = asyncio.ensure_future(self._follow(self._outcome(action)))
        self._followed[name] = task
        task.add_done_callback(partial(self._ended, name))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            del self._followed[name]
        elif error := task.exception():
            log.error("control_plane.following_failed", started=name, exc_info=error)
            del self._followed[name]

    def _outcome(self, action: Launch | StartRollout) -> Coroutine[Any, Any, events.Event]:
        effects = self._effects
        settings = effects.settings
        if isinstance(action, Launch):
            attempts = settings.training_attempts
            return follow_training(action.started, effects.trainings, effects.registry, attempts)
        return follow_rollout(action.started, action.since, effects.rollouts, settings.rollout_deadline_s)

    async def _follow(self, outcome: Awaitable[events.Event]) -> None:
        event = await outcome
        while True:
            try:
                return await self._publish(event)
            except (KafkaError, ProducerSendError) as error:
                log.warning("control_plane.unpublished", id=event.id, error=str(error), pause_s=_RETRY_S)
                await asyncio.sleep(_RETRY_S)

    async def _publish(self, event: events.Event) -> None:
        key, value = events.encode(event, source=SOURCE, time=datetime.now(UTC))
        topic = _topic(self._app, event.topic)
        await (await topic.send(key=key, value=value, headers=dict(events.HEADERS)))
        log.info(event.type, **event.model_dump(mode="json"))

    async def _set_champion(self, version: int) -> None:
        try:
            await persist(self._effects.registry.set_champion, version, final=RegistryRefusedError)
        except RegistryRefusedError as error:
            log.error("control_plane.champion_not_set", version=version, reason=str(error))  # noqa: TRY400


def run() -> NoReturn:
    """Make the topics where they are missing, and run the control plane until SIGINT or SIGTERM."""
    logs.adopt_standard_logging()
    servers, home = load(Servers), load(Home).pipelines_home.absolute()
    topics = load(Topics)
    home.mkdir(parents=True, exist_ok=True)
    app = control_plane(servers, load(ControlPlane), topics, home)
    ensure_topics(servers.kafka_bootstrap_servers, topics)
    worker = faust.Worker(app, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None
    log.info("control_plane.starting", **servers.environment())
    worker.execute_from_commandline()


if __name__ == "__main__":
    logs.configure()
    sys.exit(run())
