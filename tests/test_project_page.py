"""The page of a project: what it shows, to whom, and what its forms do."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from banks.models import Character
from studio import lines
from studio.generate import Want, generate
from studio.lines import Draft
from studio.models import Line, LineState, Project, Take
from tests.studio import signed_in, somebody
from tests.test_lines import ann, heart, play, spoken, states, stories, texts, written  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db(transaction=True)


def _thin(play: Project, heart: Character, ann: User) -> None:  # noqa: F811
    root = signed_in(somebody("root", superuser=True))
    path = f"/studio/projects/{play.pk}/"
    assert root.get(path).status_code == 200
    written(play, "One.", "Two.", character_id=heart.pk)
    answer = root.post(f"{path}lines/add/", {"new-text": "Three.", "new-character": heart.pk, "new-generate": "on"})
    assert answer.status_code == 302, answer.content.decode()
    page = root.get(f"{path}?edit={play.lines.first().pk}")
    assert page.status_code == 200
    print(page.content.decode()[-12000:])
