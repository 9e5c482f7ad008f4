"""The page in a real browser, on a real broker: everything that it promises to show is seen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests

from control_plane import audit, events
from control_plane.sandbox.jvm import Jvm
from control_plane.sandbox.kafka import KafkaBroker
from control_plane.sandbox.layout import Layout
from control_plane.sandbox.machine import choose_ports
from control_plane.settings import Servers, Topics
from control_plane.topics import ensure_topics
from control_plane.web import address, guard
from control_plane.web.settings import Web
from tests.integration.stand_in import MEMBERS, StandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome

PATIENCE_S = 60
FIRST_VIEW_BYTES = 200_000
CAR = {"make_name": "Honda", "model_name": "Civic", "year": "2017"}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, java: Path) -> Iterator[KafkaBroker]:
    """A broker of its own, which comes and goes, with the system's topics."""
    layout = Layout(tmp_path_factory.mktemp("web-kafka"))
    kafka = KafkaBroker(Jvm(java, layout), choose_ports(KafkaBroker.ports, layout.ports, {}))
    kafka.prepare()
    kafka.start(PATIENCE_S)
    kafka.wait_until_ready(PATIENCE_S)
    ensure_topics(kafka.address, Topics())
    yield kafka
    kafka.broker.stop()
    shutil.rmtree(layout.home / "data")


@pytest.fixture(scope="module")
def servers(broker: KafkaBroker) -> Servers:
    """The broker, and nobody where MLflow and HDFS would be."""
    nobody = "http://127.0.0.1:1"
    return Servers(kafka_bootstrap_servers=broker.address, mlflow_tracking_uri=nobody, hdfs_url=nobody)


class Page:
    """A ``pipelines web``."""

    def __init__(self, servers: Servers, home: Path) -> None:
        self.home = home
        self._environment = os.environ | servers.environment() | {"PIPELINES_HOME": str(home)}
        self._log = home / "web.log"
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "control_plane.cli", "web"]
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        eventually(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        try:
            return requests.get(f"{self.url}/healthz", timeout=1).ok
        except requests.RequestException:
            return False

    @property
    def url(self) -> str:
        return address.page(Web(), self.home) or "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def page(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    serving = Page(servers, tmp_path_factory.mktemp("web"))
    yield serving
    serving.process.terminate()
    assert serving.process.wait(PATIENCE_S) in {0, -15}


@pytest.fixture(scope="module")
def world(servers: Servers) -> Iterator[StandIn]:
    with StandIn(servers) as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def browser(page: Page) -> Iterator[Chrome]:
    """A real Chromium, 1,200 pixels wide, that shows the page."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver are not here (Debian: apt-get install chromium-driver)")
    from selenium import webdriver  # noqa: PLC0415
    from selenium.webdriver.chrome.service import Service  # noqa: PLC0415

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options=options, service=Service(driver)) as chrome:
        chrome.get(page.url)
        yield chrome


def eventually(holds: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def text(browser: Chrome, selector: str) -> str:
    """What a reader sees of an element; closed stories and hidden parts are not seen."""
    return browser.execute_script(
        "return document.querySelector(arguments[0])?.innerText.replace(/\\s+/g, ' ').trim() ?? ''", selector
    )


def label(browser: Chrome, selector: str) -> str:
    return browser.execute_script("return document.querySelector(arguments[0]).ariaLabel", selector)


def shows(browser: Chrome, selector: str, *wanted: str) -> None:
    """Wait until an element shows all that is wanted, however it is spaced."""

    def all_there() -> bool:
        there = text(browser, selector).replace(" ", "")
        return all(one.replace(" ", "") in there for one in wanted)

    try:
        eventually(all_there)
    except AssertionError:
        pytest.fail(f"{selector} shows {text(browser, selector)!r}, not {wanted}")


def errors_in_console(browser: Chrome) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def tell(servers: Servers, *published: events.Event) -> None:
    audit.publish(servers.kafka_bootstrap_servers, *published, source="/tests")


def windows(world: StandIn, version: int, minutes_ago: int, rmse: float) -> None:
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes_ago)
    for model in ("stack", *MEMBERS):
        world.window(end, end - timedelta(minutes=1), version, model, rmse)


def test_before_anything_has_happened_it_says_what_will(browser):
    shows(browser, "#connection", "Live")
    shows(browser, "#errors-empty", "No model yet")
    shows(browser, "#batches-empty", "No batch yet")
    shows(browser, "#version-more", "no leader yet")


def test_its_first_view_is_light_and_all_its_own(browser, page):
    loaded = browser.execute_script(
        "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".filter((entry) => !entry.name.includes('/api/')).map((entry) => [entry.name, entry.transferSize])"
    )
    assert len(loaded) > 10
    assert {urlsplit(name).netloc for name, _ in loaded} == {urlsplit(page.url).netloc}
    assert sum(size for _, size in loaded) < FIRST_VIEW_BYTES


def test_a_batch_and_the_model_that_it_becomes_are_told_live(browser, servers, world):
    tell(
        servers,
        events.BatchArrived(batch="batch-001", path="/batches/batch-001", files=1, bytes=4_800_000),
        events.TrainingStarted(batch="batch-001", attempt=1),
    )
    shows(browser, "#batches", "batch-001", "training", "4.8 MB in 1 file")
    shows(browser, "#models-empty", "No model yet: the first batch is being trained.")
    tell(
        servers,
        events.TrainingFailed(batch="batch-001", attempt=1, reason="killed by SIGKILL", final=False),
        events.TrainingStarted(batch="batch-001", attempt=2),
        events.TrainingSucceeded(batch="batch-001", attempt=2, run_id="run-1", version=1, seconds=51.1),
        events.ModelRegistered(version=1, model="used-car-price", run_id="run-1", batches=["batch-001"]),
        events.RolloutStarted(version=1, rollout=1, replaces=None),
    )
    world.announce("active", "a", 1, epoch=1)
    world.announce("standby", "b", 1)
    tell(servers, events.RolloutSucceeded(version=1, rollout=1, seconds=12.6))
    shows(browser, "#batches", "trained", "became version 1 in 51 s")
    shows(browser, "#models", "Version 1", "serving", "trained on batch-001")
    shows(browser, "#version", "Version 1")
    shows(browser, "#version-more", "epoch 1", "1 standby")
    browser.execute_script("for (const one of document.querySelectorAll('.list details')) one.open = true")
    shows(browser, "#batches .story", "training.failed", "attempt 1: killed by SIGKILL", "training.succeeded")
    shows(browser, "#models .story", "model.registered", "rollout.started", "rollout.succeeded")
    tell(servers, events.BatchArrived(batch="batch-002", path="/b", files=2, bytes=10))
    shows(browser, "#batches", "batch-002")
    shows(browser, "[data-key='batch-001'] .story", "batch.arrived")  # what was open stays open


def test_answers_are_counted_and_timed(browser, world):
    for number in range(30):
        world.ask(f"r-{number}", CAR if number else {})
    shows(browser, "#total", "30")
    shows(browser, "#rate-more", "30 in a minute", "1 rejected")
    shows(browser, "#p50", " ms")
    shows(browser, "#waiting", "0")
    eventually(lambda: "median" in label(browser, "#latency-chart"))


def test_live_errors_are_drawn_by_version_and_shown_by_member(browser, servers, world):
    for minutes in (5, 4, 3):
        windows(world, 1, minutes, rmse=3_658.0)
    shows(browser, "#errors-chart .u-legend", "Version 1 $3,658")
    shows(browser, "#rmse", "$3,658")
    windows(world, 2, 1, rmse=3_038.0)
    shows(browser, "#errors-chart .u-legend", "Version 2 $3,038")
    shows(browser, "#latest", "Version 2", "$3,038", "gradient boosting", "linear svm", "91.0 %")
    shows(browser, "#models", "live RMSE $3,658 over 300 prices")
    browser.execute_script("document.querySelector('[name=measure][value=mape]').click()")
    shows(browser, "#errors-chart .u-legend", "Version 2 8.0 %")


def test_drift_is_shown_by_input_the_most_drifted_first_and_in_the_models_story(browser, servers, world):
    end = datetime.now(UTC).replace(microsecond=0)
    start = end - timedelta(minutes=5)
    world.drift(end, start, 2, year=0.02, mileage=0.41, make_name=0.13)
    shows(browser, "#drift-window", "version 2")
    shows(browser, "#drift tbody tr:nth-child(1)", "mileage", "0.41", "drifted", "10.0 %", "300")
    shows(browser, "#drift tbody tr:nth-child(2)", "make", "0.13", "moving")
    shows(browser, "#drift tbody tr:nth-child(3)", "year", "0.02", "stable")
    shows(browser, "#drift-expected", "RMSE $2,900", "MAE $1,900")
    window = {"window_start": start, "window_end": end, "windows": 3}
    tell(servers, events.ModelDegraded(version=1, what="rmse", value=4_812, bound=4_500, **window))
    told = "live RMSE $4,812, bound $4,500, in 3 windows in a row"
    shows(browser, "#models .story", "model.degraded", told)


def test_a_hand_over_is_marked_on_the_time_axis(browser, servers, world):
    tell(
        servers,
        events.ModelRegistered(version=2, model="used-car-price", run_id="run-2", batches=["batch-002"]),
        events.RolloutStarted(version=2, rollout=2, replaces=1),
    )
    world.leads = (2, 2)
    world.ask("first-of-version-2", CAR)
    world.announce("active", "b", 2, epoch=2)
    tell(servers, events.RolloutSucceeded(version=2, rollout=2, seconds=20.0))
    eventually(lambda: label(browser, "#errors-chart").count("to version 2 at ") == 1)
    shows(browser, "#version-more", "epoch 2")
    shows(browser, "#models", "replaced")


def test_the_form_prices_a_car_and_says_what_becomes_of_the_explanation(browser):
    for name, value in CAR.items():
        browser.find_element("name", name).send_keys(value)
    browser.find_element("css selector", "#form [type=submit]").click()
    shows(browser, "#result", "$20,000", "$17,000 to $24,000", "by version 2, epoch 2")
    shows(browser, "#result .members", "gradient boosting $20,100", "linear svm $19,500")
    shows(browser, "#result", "What moved it")
    shows(browser, "#result .problem", "No explanation: ")  # nobody is where MLflow would be
    assert browser.execute_script("return document.getElementById('result').ariaBusy") == "false"


def test_it_fits_a_narrow_screen_and_follows_the_colour_scheme(browser):
    before = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    narrow = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
    scheme = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    eventually(lambda: browser.execute_script("return document.documentElement.scrollWidth") == 360)
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") != before
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_every_field_and_button_has_a_name_and_a_visible_focus(browser):
    nameless = browser.execute_script(
        "const name = (one) => (one.closest('label') ?? one).textContent.trim() || one.ariaLabel;"
        "return [...document.querySelectorAll('input, select, textarea, button, summary, [tabindex]')]"
        ".filter((one) => !name(one)).map((one) => one.outerHTML)"
    )
    assert nameless == []
    from selenium.webdriver.common.keys import Keys  # noqa: PLC0415

    browser.find_element("name", "make_name").send_keys(Keys.TAB)
    outline = "return getComputedStyle(document.activeElement).outline"
    assert "solid 2px" in browser.execute_script(outline)


def test_nothing_has_gone_wrong_in_the_browser_so_far(browser):
    assert errors_in_console(browser) == []


def test_it_outlives_the_broker(browser, broker):
    broker.broker.stop()
    shows(browser, "#connection", "Kafka since", "does not answer")
    broker.broker.start()
    broker.wait_until_ready(PATIENCE_S)
    shows(browser, "#connection", "Live")
    browser.find_element("css selector", "#form [type=submit]").click()
    shows(browser, "#result", "$20,000")


def test_killed_and_started_anew_it_shows_the_same_at_the_same_address(browser, page):
    before, models = page.url, text(browser, "#models")
    page.process.kill()
    page.process.wait()
    shows(browser, "#connection", "Not connected")
    page.start()
    assert page.url == before
    shows(browser, "#connection", "Live")
    shows(browser, "#models", models)
    browser.refresh()
    shows(browser, "#models", "Version 2", "serving")
    shows(browser, "#errors-chart .u-legend", "Version 1 $3,658", "Version 2 $3,038")
    eventually(lambda: "to version 2 at " in label(browser, "#errors-chart"))


def asked(page: Page, headers: dict[str, str] | None = None, body: bytes | None = None) -> requests.Response:
    json_body = {"content-type": "application/json"}
    sent = json.dumps({"listing": CAR}).encode() if body is None else body
    return requests.post(f"{page.url}/api/prices", data=sent, headers=json_body | (headers or {}), timeout=30)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"origin": "http://elsewhere.example"}, None, 403),
        ({"sec-fetch-site": "cross-site"}, None, 403),
        ({"content-type": "text/plain"}, None, 403),
        ({"content-type": "application/x-www-form-urlencoded"}, b"make_name=Honda", 403),
        ({}, b"{", 422),
        ({}, b'{"listing": {"make_name": "Honda"}}', 422),
        ({}, b" " * (guard.MOST_BYTES + 1), 413),
    ],
)
def test_what_the_form_does_not_send_is_refused(page, headers, body, status):
    answer = asked(page, headers, body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_programs_may_ask_as_well_and_follow_the_price(page, world):
    answer = asked(page)
    assert answer.status_code == 202
    following = requests.get(f"{page.url}/{answer.json()['events']}", stream=True, timeout=30)
    lines = (line for line in following.iter_lines() if line.startswith(b"data: "))
    told = next(said for line in lines if (said := json.loads(line[6:]))["answer"])
    assert told["answer"]["price"] == 20_000.0
    following.close()


def test_to_look_changes_nothing(page):
    for path in ("/api/prices", "/", "/index.html"):
        asked = requests.request("GET" if path == "/api/prices" else "POST", page.url + path, timeout=10)
        assert asked.status_code in {404, 405}
    assert requests.get(f"{page.url}/api/prices/web-0/events", timeout=10).status_code == 404


def test_it_answers_to_its_own_names_alone_but_tells_any_probe_that_it_lives(page):
    foreign = {"host": "elsewhere.example"}
    assert requests.get(page.url, headers=foreign, timeout=10).status_code == 400
    assert requests.get(f"{page.url}/healthz", headers=foreign, timeout=10).text == "ok"
    metrics = requests.get(f"{page.url}/metrics", headers=foreign, timeout=10).text
    assert "car_price_exporter_kafka_up 1.0" in metrics, "Prometheus asks for them by any name"


def test_every_answer_forbids_what_is_not_its_own(page):
    for path in ("/", "/style.css", "/nothing", "/api/prices/web-0/events"):
        headers = requests.get(page.url + path, timeout=10).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_a_port_that_is_taken_is_said_in_a_sentence(page, servers, tmp_path):
    taken = str(urlsplit(page.url).port)
    environment = os.environ | servers.environment() | {"WEB_PORT": taken, "PIPELINES_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "control_plane.cli", "web"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert f"Port {taken} for web is taken by another program: end it, or set WEB_PORT" in done.stderr
