"""What the tests of projects share."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from banks.models import Character
from studio import lines
from studio.lines import Draft
from studio.models import Line, Project
from tests.people import text
from tests.studio import done

PROJECTS = "/studio/projects/"
RIGHTS = tuple(f"studio.{verb}_project" for verb in ("view", "add", "change", "delete"))


def address(project: Project, page: str = "") -> str:
    return f"{PROJECTS}{project.pk}/{page}"


def said(response: Any, status: int = 200) -> str:
    assert response.status_code == status, response.status_code
    return text(response)


def voiced(project: Project, owner: User, speaker: Character, *texts: str, seconds: float = 0.1) -> list[Line]:
    """Lines with audio that is current, without anybody having spoken."""
    made = lines.add(project, [Draft(one, character_id=speaker.pk) for one in texts])
    for line in made:
        line.take = line.attempt = done(
            owner, speaker, text=line.text, format=project.format, project=project, line=line, seconds=seconds
        )
        assert line.take.content_hash == line.wanted
        line.save()
    return made
