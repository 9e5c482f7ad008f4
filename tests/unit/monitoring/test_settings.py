from pathlib import Path

import pytest

from control_plane.settings import SettingsError, load
from spark_apps.monitoring.settings import Monitoring


def test_checkpoints_lie_under_the_home_of_the_embedded_system_unless_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIPELINES_HOME", str(tmp_path))
    assert load(Monitoring).checkpoint_root == f"{tmp_path}/monitoring"

    monkeypatch.setenv("MONITORING_CHECKPOINT", "webhdfs://name:9870/monitoring/")
    assert load(Monitoring).checkpoint_root == "webhdfs://name:9870/monitoring"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MONITORING_WINDOW", "0"),
        ("MONITORING_DELAY", "-1"),
        ("MONITORING_PRICE_HORIZON", "a day"),
        ("MONITORING_MEMORY", "512"),
        ("MONITORING_BATCH_RECORDS", "0"),
        ("MONITORING_SLIDE", "25"),
        ("MONITORING_SLIDE", "120"),
        ("MONITORING_DRIFT_WINDOW", "0"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        load(Monitoring)


def test_an_outcome_is_recognised_for_at_least_as_long_as_its_window_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MONITORING_DELAY", "30")
    monkeypatch.setenv("MONITORING_REPLAY", "20")
    with pytest.raises(SettingsError, match="MONITORING_REPLAY"):
        load(Monitoring)


def test_windows_end_as_often_as_they_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(Monitoring).step == 60

    monkeypatch.setenv("MONITORING_SLIDE", "15")
    assert load(Monitoring).step == 15
