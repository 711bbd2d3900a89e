"""What Prometheus scrapes from a viewer, and the dashboard over it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from spectui.core.attached.exported import METRICS
from spectui.errors import RunError
from spectui.protocol import events as ev
from spectui.runtime.exporter import Exporter
from tests.core.attached.test_exported import LIVE, SEEN, SERVING

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "spectui.json"


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    exporter = Exporter(0)
    exporter.start()
    yield exporter
    exporter.stop()


def scraped(exporter: Exporter) -> dict[str, dict[tuple[str, ...], float]]:
    """Samples by name and by the values of their labels."""
    with urlopen(f"http://127.0.0.1:{exporter.port}/metrics") as answer:
        text = answer.read().decode()
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_every_metric_is_scraped_under_its_name(exporter: Exporter) -> None:
    for event in (LIVE, SEEN, SERVING):
        exporter.see(event)
    other = ev.CounterSample("e2", 0, prompt_tokens=1, cache_share=0.5, length=2.0, rate=0.5, tok_s=9.0)
    exporter.see(ev.ServerState("e2", "live"))
    exporter.see(other)
    found = scraped(exporter)
    assert set(found) == {metric.name for metric in METRICS}
    assert found["vllm:spec_decode_num_drafts_total"] == {("tcp://box:5571",): 100}
    assert found["vllm:spec_decode_num_accepted_tokens_per_pos_total"][("tcp://box:5571", "1")] == 60
    assert found["spectui_endpoint_up"] == {("tcp://box:5571",): 1, ("e2",): 1}


def test_before_anything_is_known_there_is_nothing(exporter: Exporter) -> None:
    assert scraped(exporter) == {}


def test_words_of_servers_cannot_break_the_format(exporter: Exporter) -> None:
    exporter.see(LIVE)
    exporter.see(ev.ServerSeen("e1", SEEN.info, "tap", 'a"b\\c\nd{}', model="x\n# TYPE y gauge\ny 1"))
    found = scraped(exporter)
    assert set(found) == {"spectui_endpoint_up", "spectui_endpoint_info", "spectui_k", "spectui_k_max"}
    assert found["spectui_endpoint_up"] == {('a"b\\c\nd{}',): 1}


def test_a_port_that_is_taken_is_said(exporter: Exporter) -> None:
    with pytest.raises(RunError, match=rf"127\.0\.0\.1:{exporter.port} cannot be used .*: choose another port"):
        Exporter(exporter.port).start()


def test_one_that_has_not_started_can_be_stopped() -> None:
    Exporter(0).stop()


def dashboard() -> dict[str, Any]:
    return dict(json.loads(DASHBOARD.read_text(encoding="utf-8")))


def test_the_dashboard_asks_for_nothing_that_is_not_exported() -> None:
    panels = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    asked = {name for query in queries for name in re.findall(r"\b(?:vllm:|spectui_)\w+", query)}
    assert asked <= {metric.name for metric in METRICS}
    assert len(asked) >= 12
    variables = {one["name"] for one in dashboard()["templating"]["list"]}
    assert {name for query in queries for name in re.findall(r"\$(\w+)", query)} - {"__rate_interval"} <= variables


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    board = dashboard()
    assert board["schemaVersion"] >= 39
    assert board["id"] is None
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = set()
    for panel in panels:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells
        assert place["x"] + place["w"] <= 24
        cells |= own
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert panel["description"]


def test_the_page_lists_every_metric() -> None:
    page = (DASHBOARD.parents[1] / "prometheus.md").read_text(encoding="utf-8")
    listed = [(name, own.strip()) for name, own in re.findall(r"^\| `([\w:]+)` \|(.*?)\|", page, re.M)]
    labels = [", ".join(f"`{label}`" for label in metric.labels) for metric in METRICS]
    assert sorted(listed) == sorted(zip((metric.name for metric in METRICS), labels, strict=True))
