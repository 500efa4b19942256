"""The dashboard, the alerts and the documents name metrics that there are, and tell of all there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.telemetry.metrics import Metrics
from tests.support.gateway import RunningGateway

DOCS = Path(__file__).parents[1] / "docs"
ALERTS = DOCS / "monitoring" / "alerts.yaml"
DASHBOARD: dict[str, Any] = json.loads((DOCS / "monitoring" / "dashboard.json").read_text(encoding="utf-8"))
PAGE = (DOCS / "monitoring.md").read_text(encoding="utf-8")

_NAME = re.compile(r"\b(?:modelgate|process)_[a-z0-9_]+\b")
# In the package's own name, and in PromQL that names a scrape.
_NO_METRICS = {"modelgate_mcp"}


def alerts() -> list[dict[str, Any]]:
    """The rules, as Prometheus reads them."""
    return [rule for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """The panels of the dashboard that show something."""
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def exposed(text: str) -> set[str]:
    """The names under which a scrape can be asked, of each family all that its type has."""
    names = set()
    for family, kind in re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE):
        names |= {f"{family}_{part}" for part in ("bucket", "count", "sum")} if kind == "histogram" else {family}
        names |= {family}
    return names


async def test_each_metric_that_is_named_exists_and_each_that_exists_is_told_of(gateway: RunningGateway) -> None:
    names = exposed((await gateway.http.get("/metrics")).text)
    assert "modelgate_search_seconds_bucket" in names
    expressions = " ".join(target["expr"] for panel in panels() for target in panel["targets"])
    for where, text in (("dashboard", expressions), ("alerts", ALERTS.read_text(encoding="utf-8"))):
        assert {name for name in _NAME.findall(text) if name not in names} == set(), where
    for page in DOCS.glob("*.md"):
        told = {name for name in _NAME.findall(page.read_text(encoding="utf-8")) if name.startswith("modelgate_")}
        assert told - names - _NO_METRICS == set(), page.name
    # What has a creation time in OpenMetrics says it beside itself.
    own = {name for name in names if name.startswith("modelgate_") and not name.endswith("_created")}
    assert {name for name in own if not re.search(rf"`{name}[`{{]", PAGE) and not name.endswith(_PARTS)} == set()


_PARTS = ("_bucket", "_count", "_sum")


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    runbooks = {title.lower() for title in re.findall(r"^### (ModelGate\w+)$", PAGE, re.MULTILINE)}
    named = set()
    for rule in alerts():
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert (page, anchor) == ("docs/monitoring.md", rule["alert"].lower())
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["for"]
        named.add(anchor)
    assert named == runbooks


def test_the_dashboard_is_one_that_grafana_loads() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource", "job", "instance"}
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["type"] in ("timeseries", "stat")
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for target in panel["targets"]:
            assert set(re.findall(r"\$\{?(\w+)", target["expr"])) <= {"job", "instance", "__rate_interval"}
            assert target["expr"].count("(") == target["expr"].count(")")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_takes_the_alerts_and_the_metrics() -> None:
    subprocess.run(["promtool", "check", "rules", str(ALERTS)], check=True, capture_output=True, timeout=30)
    metrics = Metrics()
    metrics.observe_call("GitHub", "ok", 0.1)
    subprocess.run(
        ["promtool", "check", "metrics"], input=metrics.exposition(), check=True, capture_output=True, timeout=30
    )
