"""docs/watching.md names every figure that there is, and no other; and its configuration can be read."""

from __future__ import annotations

import json
import logging
import re

import yaml

from api.monitoring.readiness import DATABASE, MIGRATIONS, REDIS, STOPPING
from api.monitoring.scrape import WEB, _Moment
from providers import context
from providers.logs import JsonFormatter
from providers.queue import QueueSnapshot
from tests.test_docs import ROOT, blocks, rows, ticked

WATCHING = ROOT / "docs" / "watching.md"


def families() -> dict[str, set[str]]:
    """Every family of ours by the name that is queried, with its labels where it has any samples now."""
    found = {}
    for metric in _Moment(WEB, [QueueSnapshot((), (), ())], {}).collect():
        if metric.name.startswith("neiroha_"):
            ending = {"counter": "_total", "info": "_info"}.get(metric.type, "")
            labels = {label for sample in metric.samples for label in sample.labels} - {"process", "le"}
            found[metric.name + ending] = labels
    return found


def test_every_figure_with_its_labels() -> None:
    documented = {ticked(row[0])[0]: set(ticked(row[1])) for row in rows(WATCHING, "The figures")}
    ours = {name: labels for name, labels in documented.items() if name.startswith("neiroha_")}
    there = families()
    assert set(ours) == set(there)
    for name, labels in there.items():
        assert labels <= ours[name], name


def test_examples_ask_for_figures_that_there_are() -> None:
    known = {*families(), *(f"{name}_bucket" for name in families())}
    for block in blocks(WATCHING, "yaml"):
        assert set(re.findall(r"\bneiroha_\w+", block.text)) <= known


def test_examples_can_be_read() -> None:
    scrape, several, alerts, probes = (yaml.safe_load(block.text) for block in blocks(WATCHING, "yaml"))
    (job,) = scrape["scrape_configs"]
    assert job["authorization"]["type"] == "Bearer" and job["static_configs"][0]["targets"]
    assert several["static_configs"][0]["targets"]
    (group,) = alerts["groups"]
    assert all(set(rule) == {"alert", "expr", "for"} for rule in group["rules"])
    for rule in group["rules"]:
        assert rule["expr"].count("(") == rule["expr"].count(")"), rule["alert"]
    assert {probes[name]["httpGet"]["path"] for name in probes} == {"/health/live", "/health/ready"}


def test_every_reason_of_ready() -> None:
    documented = {ticked(row[0])[0] for row in rows(WATCHING, "Health, live and ready")}
    assert {DATABASE, MIGRATIONS, REDIS, STOPPING} <= documented


async def test_the_shown_line_is_one_of_ours() -> None:
    (shown,) = (json.loads(block.text) for block in blocks(WATCHING, "json"))
    context.work_on("req_1", 12)
    made = logging.LogRecord("studio.runner", logging.WARNING, "", 1, "Take %d failed: %s", (12, "x"), None)
    line = json.loads(JsonFormatter().format(made))
    assert list(line) == list(shown)
    named = {name for row in rows(WATCHING, "The log") for name in ticked(row[0])}
    assert named == {*line, "exception"}
