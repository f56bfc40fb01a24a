"""Rows of a project are painted once for all who see them, and anew when anything changes that they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.core.cache import caches
from django.template.loader import render_to_string
from django.utils import translation

from banks.models import Bank, Character
from providers.models import Provider
from providers.queue import Reason
from studio.kinds import kind
from studio.models import Line, Project, Take
from studio.rows import PAINTED, SENTENCE, Row, paint, rows
from studio.stages import Stage
from tests.conftest import add_character
from tests.projects import voiced
from tests.studio import somebody

pytestmark = pytest.mark.django_db


@pytest.fixture
def heart() -> Character:
    provider = Provider.objects.create(name="Embedded", kind="embedded")
    return add_character(Bank.objects.create(name="Stories"), provider, "Heart")


@pytest.fixture(params=["dialogue", "phase", "novel", "dub"])
def project(request: pytest.FixtureRequest, heart: Character) -> Project:
    owner = somebody("ann")
    made = Project.objects.create(name="Play", kind=request.param, owner=owner, bank=heart.memberships.get().bank)
    voiced(made, owner, heart, "First words.", "Second words.")
    return made


@pytest.fixture
def renders(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Which lines were painted, not read from what is kept."""
    caches[PAINTED].clear()
    painted: list[int] = []

    def render(template: str, context: dict[str, Any]) -> str:
        painted.append(context["row"].line.pk)
        return render_to_string(template, context)

    monkeypatch.setattr("studio.rows.render_to_string", render)
    return painted


def listed(project: Project, stages: dict[int, Stage] | None = None) -> list[Row]:
    return rows(project.lines.all(), stages or {}, ())


def fresh(project: Project, found: list[Row], may_change: bool, template: str) -> dict[int, str]:
    context = {"project": project, "may_change": may_change}
    return {row.line.pk: render_to_string(template, {**context, "row": row}) for row in found}


def change_take(values: dict[str, Any]) -> Callable[[Line], object]:
    return lambda line: Take.objects.filter(lines_heard=line).update(**values)


def change_line(values: dict[str, Any]) -> Callable[[Line], object]:
    return lambda line: Line.objects.filter(pk=line.pk).update(**values)


CHANGES: dict[str, Callable[[Line], object]] = {
    "text": change_line({"text": "Other words."}),
    "speaker": change_line({"speaker": "Somebody"}),
    "instruction": change_line({"instruction": "softly"}),
    "speed": change_line({"speed": 1.5}),
    "chapter": change_line({"chapter": "Two"}),
    "times": change_line({"start_ms": 1000, "end_ms": 2500}),
    "stale": change_line({"wanted": "another"}),
    "missing": change_line({"take": None, "attempt": None}),
    "no character": change_line({"character": None}),
    "its character's name": lambda line: Character.objects.update(name="Soul"),
    "its character's picture": lambda line: Character.objects.update(avatar="avatars/one.png"),
    "queued": change_take({"state": "queued"}),
    "running": change_take({"state": "running"}),
    "failed": change_take({"state": "failed", "error": "The provider is down.", "retry_helps": True}),
    "in vain": change_take({"state": "failed", "error": "The provider is down.", "retry_helps": False}),
    "length": change_take({"duration": 61.5}),
    "waveform": change_take({"waveform": [1, 9, 1, 9]}),
    "spoken by another": change_take({"spoken_by": "Fallback"}),
}


def test_what_is_kept_is_not_painted_again(project: Project, renders: list[int]) -> None:
    first = paint(project, listed(project), True)
    assert len(renders) == 2
    assert paint(project, listed(project), True) == first
    assert len(renders) == 2


@pytest.mark.parametrize("change", CHANGES)
def test_a_row_is_painted_as_it_is_now(project: Project, renders: list[int], change: str) -> None:
    template = kind(project.kind).line_template
    before = {one: paint(project, listed(project), may, one) for one in (template, SENTENCE) for may in (True, False)}
    renders.clear()
    line = project.lines.first()
    assert line is not None
    CHANGES[change](line)
    for one in before:
        for may in (True, False):
            found = listed(project)
            assert paint(project, found, may, one) == fresh(project, found, may, one)
    assert line.pk in renders


def test_where_it_stands_in_the_queue_shows(project: Project, renders: list[int]) -> None:
    Take.objects.update(state="running")
    take = project.lines.values_list("attempt", flat=True)[0]
    waiting = Stage(True, 3.0, "Up")
    template = kind(project.kind).line_template
    painted = []
    for stage in (waiting, replace(waiting, waiting=False), replace(waiting, reason=Reason.REQUESTS)):
        found = listed(project, {take: stage})
        painted.append(paint(project, found, True))
        assert painted[-1] == fresh(project, found, True, template)
    assert len({tuple(one.values()) for one in painted}) == 3
    renders.clear()
    # How long it waits by now does not.
    paint(project, listed(project, {take: replace(waiting, seconds=2.0)}), True)
    assert not renders


def test_each_language_has_its_own(project: Project, renders: list[int]) -> None:
    english = paint(project, listed(project), True)
    with translation.override("zh-hans"):
        chinese = paint(project, listed(project), True)
    assert not set(english.values()) & set(chinese.values())


def test_each_project_has_its_own(project: Project, renders: list[int]) -> None:
    """Their addresses differ."""
    painted = paint(project, listed(project), True)
    other = Project.objects.create(name="Other", kind=project.kind, owner=project.owner, bank=project.bank)
    project.lines.update(project=other)
    assert paint(other, listed(other), True) != painted
