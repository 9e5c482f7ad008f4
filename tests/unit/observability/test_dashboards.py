"""The dashboards as files. No Grafana runs here: its own types, of 11.6, say what it would understand."""

from __future__ import annotations

import json
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.unit.observability.files import GRAFANA, dashboards

if TYPE_CHECKING:
    from collections.abc import Iterator

DASHBOARDS = dashboards()
DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
# What belongs to the data source's plugin, or to the editor, is in no schema.
BEYOND_THE_SCHEMA = {"useValueForTime", "step", "titleFormat", "textFormat", "definition"}


@pytest.fixture(params=DASHBOARDS)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    return DASHBOARDS[request.param]


def graphs(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def lost(written: Any, understood: Any, path: str = "") -> Iterator[str]:
    """Yield where something that was written is not, or not so, in what was understood."""
    if isinstance(written, dict):
        for key, value in written.items():
            if key not in BEYOND_THE_SCHEMA:
                there = understood.get(key, "nothing") if isinstance(understood, dict) else "nothing"
                yield from lost(value, there, f"{path}/{key}")
    elif isinstance(written, list) and isinstance(understood, list) and len(written) == len(understood):
        for number, (one, other) in enumerate(zip(written, understood, strict=True)):
            yield from lost(one, other, f"{path}/{number}")
    elif written != understood:
        yield f"{path}: {written!r} became {understood!r}"


def test_the_four_dashboards_are_there():
    assert set(DASHBOARDS) == {"overview", "model-quality", "serving", "control-plane"}
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == 4
    assert len({dashboard["title"] for dashboard in DASHBOARDS.values()}) == 4


def test_grafanas_own_types_understand_all_that_is_written(dashboard):
    register_default_plugins()
    understood = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    assert list(lost(dashboard, understood)) == []


def test_a_misspelt_option_would_be_found(dashboard):
    register_default_plugins()
    written = json.loads(json.dumps(dashboard))
    graphs(written)[0]["fieldConfig"]["defaults"]["unitt"] = "s"
    understood = json.loads(JSONEncoder().encode(Dashboard.from_json(written)))
    assert len(list(lost(written, understood))) == 1


def test_each_panel_has_an_id_and_a_title_of_its_own_and_says_what_it_shows(dashboard):
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    assert all(panel["description"].endswith(".") for panel in graphs(dashboard))


def test_panels_lie_on_the_grid_and_not_on_each_other(dashboard):
    places = {panel["title"]: panel["gridPos"] for panel in dashboard["panels"]}
    for title, at in places.items():
        assert at["x"] >= 0, title
        assert at["w"] > 0, title
        assert at["h"] > 0, title
        assert at["x"] + at["w"] <= 24, title
    for (one, a), (other, b) in combinations(places.items(), 2):
        apart_x = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart_y = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart_x or apart_y, (one, other)


def test_each_query_asks_the_provisioned_source_and_has_a_legend_and_a_unit(dashboard):
    for panel in graphs(dashboard):
        assert panel["datasource"] == DATASOURCE
        assert panel["targets"], panel["title"]
        assert panel["type"] == "heatmap" or panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for target in panel["targets"]:
            assert target["datasource"] == DATASOURCE
            assert target["expr"].strip()
            assert target["legendFormat"] or panel["type"] == "stat", panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_hand_overs_are_marked_at_their_own_time(dashboard):
    [marks] = [one for one in dashboard["annotations"]["list"] if one["name"] == "Hand-overs"]
    assert marks["expr"] == "car_price_serving_last_hand_over_timestamp_seconds * 1000"
    assert marks["useValueForTime"]
    assert marks["enable"]
    assert marks["datasource"] == DATASOURCE


def test_the_source_has_the_uid_that_dashboards_name_and_they_are_found_where_they_are_mounted():
    provisioning = GRAFANA / "provisioning"
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert {"type": source["type"], "uid": source["uid"]} == DATASOURCE
    [provider] = yaml.safe_load((provisioning / "dashboards" / "car-price.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
