"""The shipped alerts and dashboard: understood by Prometheus' own tool, and about what is there."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.harness.programs import find_program

from mailkeep.events import EventType
from mailkeep.events.metrics import MetricsSink, Outcome

PACKAGING = Path(__file__).parents[2] / "packaging"
RULES = PACKAGING / "prometheus" / "mailkeep.rules.yml"
RULES_TEST = PACKAGING / "prometheus" / "mailkeep.rules.test.yml"
DASHBOARD = PACKAGING / "grafana" / "mailkeep.json"

GRID_COLUMNS = 24
"""Grafana's width of a dashboard."""

_METRIC = re.compile(r"\b(?:mailkeep|process)_[a-z_]+\b")
_LABEL_VALUES = re.compile(r'\b(event|outcome)(?:=~?|!=|!~)\\?"([^"\\]+)')
_ALERT = re.compile(r"- alert: (\w+)")


def promtool(*arguments: str | Path, folder: Path = RULES.parent) -> str:
    """Run promtool and return what it says; it must be content."""
    done = subprocess.run(
        [find_program("promtool"), *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sample_names() -> set[str]:
    """Return every name that a scrape has."""
    sink = MetricsSink()
    families = text_string_to_metric_families(sink.exposition().decode())
    names = {sample.name for family in families for sample in family.samples}
    return names | {"mailkeep_build_info"}


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads(DASHBOARD.read_text())
    assert isinstance(dashboard, dict)
    return list(dashboard["panels"])


def expressions() -> Iterator[str]:
    """Yield what the dashboard asks Prometheus, as Prometheus gets it."""
    for panel in panels():
        for target in panel.get("targets", ()):
            yield target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")


def test_alerts_are_what_prometheus_understands() -> None:
    """`promtool check rules` takes the file, `check config` the example that names it."""
    assert "SUCCESS" in promtool("check", "rules", RULES)
    assert "SUCCESS" in promtool("check", "config", "scrape.yml")


def test_alerts_fire_on_what_they_are_for() -> None:
    """`promtool test rules` plays scenes of trouble, and of a quiet day."""
    assert "SUCCESS" in promtool("test", "rules", RULES_TEST)


def test_the_scenes_can_fail(tmp_path: Path) -> None:
    """With one threshold out of reach the same scenes are not content."""
    shutil.copy(RULES_TEST, tmp_path)
    text = RULES.read_text()
    assert "[15m]) > 50" in text
    (tmp_path / RULES.name).write_text(text.replace("[15m]) > 50", "[15m]) > 50000"))
    with pytest.raises(AssertionError, match="MailkeepManyBans"):
        promtool("test", "rules", RULES_TEST.name, folder=tmp_path)


def test_every_alert_has_a_scene() -> None:
    """An alert that nothing has ever made fire is none."""
    alerts = set(_ALERT.findall(RULES.read_text()))
    assert alerts
    scenes = RULES_TEST.read_text()
    assert {alert for alert in alerts if alert not in scenes} == set()


@pytest.mark.parametrize("path", [RULES, RULES_TEST, DASHBOARD], ids=lambda path: path.name)
def test_only_metrics_that_exist_are_asked_for(path: Path) -> None:
    """A metric that was renamed leaves an alert that never fires and an empty panel."""
    named = set(_METRIC.findall(path.read_text()))
    assert named
    assert named - sample_names() == set()


@pytest.mark.parametrize("path", [RULES, RULES_TEST, DASHBOARD], ids=lambda path: path.name)
def test_only_label_values_that_exist_are_asked_for(path: Path) -> None:
    """The same for the names of events and outcomes."""
    known = {
        "event": {kind.value for kind in EventType},
        "outcome": {outcome.value for outcome in Outcome},
    }
    found = _LABEL_VALUES.findall(path.read_text())
    assert found
    for label, values in found:
        assert set(values.split("|")) <= known[label]


def test_the_dashboard_asks_what_prometheus_understands(tmp_path: Path) -> None:
    """`promtool` parses each query as a rule's."""
    asked = list(expressions())
    assert asked
    rules = [{"record": f"panel:{place}", "expr": one} for place, one in enumerate(asked)]
    path = tmp_path / "dashboard.rules.json"  # JSON is YAML
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(asked)} rules found" in promtool("check", "rules", path)


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """It names no data source of ours; ids are its own and panels lie side by side."""
    dashboard = json.loads(DASHBOARD.read_text())
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= dashboard.keys()
    assert dashboard.get("id") is None
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert variables == {"datasource", "instance"}
    assert len({panel["id"] for panel in panels()}) == len(panels())
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        cells = cells_of(panel["gridPos"])
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"


def test_every_panel_says_what_it_shows() -> None:
    """Title, description and a query with its legend's labels."""
    for panel in panels():
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["description"]
            assert panel["targets"]


def cells_of(place: dict[str, int]) -> set[tuple[int, int]]:
    columns = range(place["x"], place["x"] + place["w"])
    assert columns.stop <= GRID_COLUMNS
    return {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
