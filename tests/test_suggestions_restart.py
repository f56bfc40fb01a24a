"""A server that ends while a text is read: the next one goes on, and asks about no line again whose answer came."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import wait_until
from tests.server_process import manage, running_server
from tests.suggestions import SECRET
from tests.upstreams.chat_model import MODEL, ChatModelUpstream
from tests.upstreams.serving import serve

LINES = 60
PREPARE = """
from django.contrib.auth.models import User
from providers.models import ChatModel
from studio.lines import Draft, add
from studio.models import Project, Scope
from studio.suggestions import start
user = User.objects.create_superuser("admin")
chat = ChatModel.load()
chat.enabled, chat.base_url, chat.model, chat.api_key = True, "{url}/v1", "{model}", "{key}"
chat.window_characters = 500
chat.save()
project = Project.objects.create(name="Story", kind="novel", owner=user)
add(project, [Draft(f"“This is the speech number {{n}},” said Anna.") for n in range({lines})])
start(project, user, scope=Scope.ALL, narrator="", sent_to=chat.destination)
"""


def rows(folder: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "neiroha.sqlite3", timeout=60)) as database:
        return database.execute(query).fetchall()


def holding(upstream: ChatModelUpstream) -> Callable[[dict[str, Any]], str]:
    """After two answers nothing is answered any more."""
    think = upstream.think

    def held(asked: dict[str, Any]) -> str:
        upstream.switches.held = len(upstream.requests) == 2
        return think(asked)

    return held


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_text_is_read_to_its_end_by_the_next_server(tmp_path: Path, number: signal.Signals) -> None:
    upstream = ChatModelUpstream(key=SECRET)
    upstream.think = holding(upstream)
    with serve(upstream) as url:
        assert manage(tmp_path, "migrate").returncode == 0
        script = PREPARE.format(url=url, model=MODEL, key=SECRET, lines=LINES)
        prepared = manage(tmp_path, "shell", "--no-imports", "-c", script)
        assert prepared.returncode == 0, prepared.stderr
        with running_server(tmp_path) as first:
            upstream.wait_for(lambda each: len(each.requests) == 3 and each.current == 1)
            first.send(number)
            first.wait()
        ((state, done),) = rows(tmp_path, "SELECT state, done FROM studio_suggestionrun")
        assert state == "running" and 0 < done < LINES
        upstream.switches.held = False
        with running_server(tmp_path) as second:
            wait_until(lambda: rows(tmp_path, "SELECT state FROM studio_suggestionrun") == [("done",)])
            second.end()
    assert rows(tmp_path, "SELECT done, error FROM studio_suggestionrun") == [(LINES, "")]
    assert rows(tmp_path, "SELECT speaker, COUNT(*) FROM studio_speakersuggestion GROUP BY speaker") == [
        ("Anna", LINES)
    ]
    assert rows(tmp_path, "SELECT DISTINCT speaker, revision FROM studio_line") == [("", 0)]
    asked = [piece["text"] for each in upstream.passages for piece in each["passage"] if "line" in piece]
    # Only what the killed server waited for was asked again.
    assert len(asked) == LINES + len([piece for piece in upstream.passages[2]["passage"] if "line" in piece])
    assert SECRET not in first.output + second.output
