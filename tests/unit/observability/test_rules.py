"""The rules as files, and as Prometheus's own tool sees them: when each alert fires, and when it does not."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.observability.files import PROMETHEUS, alerts, rules, selectors

ALERTS_TEST = Path(__file__).with_name("alerts_test.yml")


@pytest.fixture(scope="module")
def promtool() -> str:
    if (found := shutil.which("promtool")) is None:
        pytest.skip("promtool is not on the PATH (Debian: the package prometheus)")
    return found


def said_by(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["prometheus.yml", "compose.yml"])
def test_the_configuration_and_its_rules_are_valid(promtool, name):
    said = said_by(promtool, "check", "config", "--lint=all", "--lint-fatal", PROMETHEUS / name)
    assert "2 rule files found" in said


def test_each_alert_fires_when_it_should_and_only_then(promtool):
    said_by(promtool, "test", "rules", ALERTS_TEST)


def test_each_alert_is_tested():
    written = ALERTS_TEST.read_text()
    untested = [name for name in alerts() if f'alertname="{name}",alertstate="firing"' not in written]
    assert untested == ["CarPriceUnreadableRecords"]  # whose words are tested as well
    assert "alertname: CarPriceUnreadableRecords" in written


def test_each_alert_says_what_is_wrong_how_bad_it_is_and_what_to_do():
    for name, alert in alerts().items():
        assert name.startswith("CarPrice")
        assert alert["labels"]["severity"] in {"critical", "warning"}, name
        assert set(alert["annotations"]) == {"summary", "description"}, name
        assert not alert["annotations"]["summary"].endswith("."), name
        assert alert["annotations"]["description"].endswith("."), name
        assert len(alert["annotations"]["description"]) > 80, name


def test_what_is_recorded_is_named_by_level_metric_and_operations():
    recorded = [rule["record"] for rule in rules() if "record" in rule]
    assert len(set(recorded)) == len(recorded)
    assert all(len(name.split(":")) == 3 for name in recorded)


def test_selectors_are_found_in_a_query():
    query = (
        'sum by (job) (rate(car_price_x_total{status="a"}[5m])) / job:car_price_y:rate1m > on (z) up{job="j"}'
    )
    assert selectors(query) == {'car_price_x_total{status="a"}', "job:car_price_y:rate1m", 'up{job="j"}'}
