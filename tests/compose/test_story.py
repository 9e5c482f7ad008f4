"""The whole story on docker compose, from an empty engine: what the README types, and what must not break it.

Run by ``make test-compose``; conftest.py says what it needs. The requests of one client, which comes by the
published port, go through all of it. What became of them is counted from the topics, after everything was
taken down and brought up again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from control_plane.simulator.generator import generate
from control_plane.topics import LISTINGS, PREDICTIONS_SHADOW
from tests import readme
from tests.story import Diary, accounts, prices_in_windows, records, tell, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.compose.conftest import Compose

pytestmark = [pytest.mark.compose_story, pytest.mark.timeout(2400)]

RATE = 25
ROWS = 4_000  # as the README's first batch


@pytest.fixture(scope="module")
def system(
    compose: Compose, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Compose, Diary]]:
    """Everything, brought up from nothing and healthy."""
    if compose.containers():
        pytest.skip("the engine has containers of an earlier story: docker compose down --volumes them")
    diary = Diary()
    begun = time.monotonic()
    try:
        compose.type(line("--build"))
        diary.figures["seconds from up to healthy"] = time.monotonic() - begun
        yield compose, diary
    finally:
        for client in psutil.Process().children():  # of a story that broke off
            client.kill()
        if request.session.testsfailed:
            logs = tmp_path_factory.mktemp("compose") / "logs"
            logs.write_text(compose.run("logs", "--no-color", "--timestamps", check=False))
            tell(f"what the containers said is in {logs}")
        compose.run("--profile=*", "down", "--volumes", "--timeout=20", check=False)


def test_a_container_is_what_the_file_says(system):
    here, _ = system
    for found in here.inspect(*(one["ID"] for one in here.containers())):
        name, host = found["Name"], found["HostConfig"]
        assert not host["Privileged"], name
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert host["Memory"], name
        assert found["Config"]["User"] == "10001:10001", name
        published = [one for ports in host["PortBindings"].values() for one in ports]
        assert {one["HostIp"] for one in published} <= {os.environ.get("BIND_ADDRESS", "127.0.0.1")}, name


def test_the_whole_story_and_no_request_is_lost(system, tmp_path):  # noqa: PLR0915 - a story
    here, diary = system
    begun = time.monotonic()

    tell("the first batch")
    here.type(line("simulate batch"))
    until("the first model", lambda: here.model(1) == "serving")
    report_of_one = traffic(here, tmp_path / "first", "--seconds=1", "--price-delay=0")
    assert finished(report_of_one)["versions"].keys() == {"1"}
    diary.figures["seconds from the first batch to a price"] = time.monotonic() - begun
    assert "batch-001" in here.type(line("pipelines status"))

    client = traffic(here, tmp_path / "all", "--price-delay=5")
    diary.note("nothing but the simulator beside it")
    here.type(line("simulator up"))
    time.sleep(20)
    simulated = report_of_simulator(here)

    diary.note("training of a batch put by hand, control plane restarted within it")
    generate(ROWS, seed=8, out=tmp_path, parts=1).parts[0].rename(tmp_path / "cars.csv")
    here.type(*lines("put"), folder=tmp_path)
    until("the second training", lambda: here.batch("mine") == "training")
    here.run("restart", "control-plane")
    until("the second rollout", lambda: here.model(2) in {"starting", "serving"})

    diary.note("rollout of version 2")
    until("the second model", lambda: here.model(2) == "serving")
    until_a_standby(here, version=2)

    diary.note("version 1 in the shadow")
    here.type(line("shadow up"), line("shadow 1"))
    until("the shadow", lambda: shadows(here) == [1])

    diary.note("active server killed")
    here.inside("serving", "sh", "-c", f"kill -KILL {leader(here)['pid']}")
    until_a_standby(here, version=2)

    for service in sorted(here.services() - {"serving", "kafka", "control-plane"}):
        restart(here, diary, service)
    for service in ("serving", "kafka"):
        restart(here, diary, service)
        until_a_standby(here, version=2)
    diary.note("nothing more")
    time.sleep(15)
    report = finished(client)
    before = here.status()
    diary.figures["GiB in use at the end"] = memory_gib(here)

    tell("everything down, and up again")
    begun = time.monotonic()
    here.type(line("down"))
    assert not here.containers()
    here.type(line("--build"), line("shadow up"))
    diary.figures["seconds from down to up again"] = time.monotonic() - begun
    until("a server that answers", lambda: leader(here) and leader(here)["model_version"] == 2)
    again = finished(traffic(here, tmp_path / "again", "--seconds=5", "--price-delay=0"))

    diary.show(report)
    here.inside("control-plane", "pipelines", "doctor")  # exit status 0: nothing is in the way
    assert "<title>" in here.fetch("WEB_PORT")
    assert 'car_price_answers_total{model_version="2"' in here.fetch("EXPORTER_PORT", "/metrics")
    for one in (report, simulated, again):
        assert (one["lost"], one["undelivered"], one["repeated"]) == (0, 0, 0)
        assert one["answered"] == one["sent"]
    assert set(report["versions"]) == {"1", "2"}
    assert set(again["versions"]) == {"2"}
    after = here.status()
    assert (after["batches"], after["models"]) == (before["batches"], before["models"])
    assert {one["batch"]: one["status"] for one in after["batches"]} == {
        "batch-001": "trained",
        "mine": "trained",
    }
    counted = accounts(here.kafka)
    tell(json.dumps(counted))
    assert (counted["lost"], counted["twice"], counted["unasked"]) == (0, 0, 0)
    sent = [finished(report_of_one), simulated, report, again]
    assert counted["requests"] == sum(one["sent"] for one in sent)
    until("the shadow's last answer", lambda: shadow_accounts(here.kafka)["lost"] == 0, 120)
    assert shadow_accounts(here.kafka)["twice"] == 0
    compared = json.loads(here.inside("control-plane", "pipelines", "shadow", "--compare", "--json"))
    assert (compared["model_version"], compared["rejected_otherwise"]) == (1, 0)
    assert compared["both"] >= again["sent"]
    tell(json.dumps(compared))
    prices = sum(one["prices"] for one in sent)
    until("every price in a window", lambda: prices_in_windows(here.kafka) == prices, 240)
    assert here.typed == set(readme.typed_by(readme.COMPOSE))


def lines(words: str) -> list[str]:
    """Return the lines of the README that have these words, of those that are typed here."""
    return [one for one in readme.typed_by(readme.COMPOSE) if words in one]


def line(words: str) -> str:
    """Return the one such line."""
    [found] = lines(words)
    return found


def traffic(here: Compose, out: Path, *options: str) -> tuple[subprocess.Popen[bytes], Path]:
    """Ask for prices from outside of the containers, by the published port; its report goes to ``out``."""
    command = [sys.executable, "-m", "control_plane.cli", "simulate", "traffic", f"--rate={RATE}", *options]
    environment = os.environ | {"KAFKA_BOOTSTRAP_SERVERS": here.kafka}
    with out.open("wb") as output:
        return subprocess.Popen(command, env=environment, stdout=output), out


def finished(client: tuple[subprocess.Popen[bytes], Path]) -> dict[str, Any]:
    """End the client, unless it ends by itself, and return what it reports."""
    process, out = client
    if "--seconds" not in " ".join(process.args):
        process.send_signal(signal.SIGTERM)
    process.wait(120)
    return dict(json.loads(out.read_text()))


def report_of_simulator(here: Compose) -> dict[str, Any]:
    """Stop the simulator and return what it reports then."""
    here.run("stop", "simulator")
    said = here.run("logs", "--no-log-prefix", "simulator")
    here.run("rm", "--force", "simulator")
    told = [json.loads(one) for one in said.splitlines() if one.startswith("{")]
    [report] = [one for one in told if "latency_ms" in one and "event" not in one]
    return dict(report)


def leader(here: Compose) -> dict[str, Any] | None:
    return here.status().get("serving", {}).get("active")


def shadows(here: Compose) -> list[int]:
    return [one["model_version"] for one in here.status().get("serving", {}).get("shadow", [])]


def shadow_accounts(kafka: str) -> dict[str, int]:
    """Count what the shadow left out and what it answered twice, of the requests since its first answer."""
    answers = [
        (answer["partition"], answer["offset"])
        for _, _, _, value in records(kafka, PREDICTIONS_SHADOW)
        for answer in [json.loads(value)]
    ]
    first = dict(sorted(answers, reverse=True))
    asked = {
        (partition, offset)
        for partition, offset, _, value in records(kafka, LISTINGS)
        if offset >= first.get(partition, offset + 1) and json.loads(value)["kind"] == "request"
    }
    return {"lost": len(asked - set(answers)), "twice": len(answers) - len(set(answers))}


def until_a_standby(here: Compose, version: int) -> None:
    def one_of_each() -> bool:
        serving = here.status().get("serving") or {"active": None}
        if serving["active"] is None or serving["starting"]:
            return False
        versions = [one["model_version"] for one in (serving["active"], *serving["standby"])]
        return versions == [version, version]

    time.sleep(3)  # until what was just done shows
    until("a server that leads and one that stands by", one_of_each)


def restart(here: Compose, diary: Diary, service: str) -> None:
    diary.note(f"{service} restarted")
    here.run("restart", service)
    until(f"a healthy {service}", lambda: here.is_healthy(service))


def memory_gib(here: Compose) -> float:
    """Return what all containers take now."""
    files = "cat /sys/fs/cgroup/memory.current 2>/dev/null || cat /sys/fs/cgroup/memory/memory.usage_in_bytes"
    return sum(int(here.inside(one, "sh", "-c", files)) for one in here.services()) / 1024**3
