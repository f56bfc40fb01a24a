"""What the tests of suggested speakers share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import User

from api.runtime import Runtime, _runtimes
from providers.database import in_database
from providers.models import ChatModel, UsageMinute
from providers.queue import SpeechQueue
from studio import lines, suggestions
from studio.lines import Draft
from studio.models import Line, Project, Scope, SuggestionRun
from tests.test_api_streams import eventually
from tests.upstreams.chat_model import MODEL, ChatModelUpstream
from tests.upstreams.serving import WAIT_SECONDS, serve

SECRET = "sk-a-very-secret-key-0123456789"
STORY = ("It rained.", "“Come in,” said Anna.", "“I come,” said Bob.", "“Good.”")


@contextmanager
def reader(upstream: ChatModelUpstream | None = None, **values: Any) -> Iterator[ChatModelUpstream]:
    """A chat model that is served, set up and enabled."""
    upstream = upstream or ChatModelUpstream(key=SECRET)
    with serve(upstream) as url:
        set_up(f"{url}/v1", **values)
        yield upstream


def forget_usage() -> None:
    """The server lives on between tests, and with it what it knows of the chat model's limits and failures."""
    for loop, runtime in list(_runtimes.items()):
        asyncio.run_coroutine_threadsafe(_forget(runtime), loop).result(WAIT_SECONDS)


async def _forget(runtime: Runtime) -> None:
    runtime.engine.chat_queue.close()
    await runtime.engine.ledger.flush()
    await in_database(UsageMinute.objects.filter(provider_id=ChatModel.USAGE_ID).delete)
    runtime.engine.chat_queue = SpeechQueue(ledger=runtime.engine.ledger)


def set_up(base_url: str = "http://127.0.0.1:9/v1", **values: Any) -> ChatModel:
    chat = ChatModel.load()
    row = {"enabled": True, "base_url": base_url, "model": MODEL, "api_key": SECRET, **values}
    for name, value in row.items():
        setattr(chat, name, value)
    chat.save()
    return chat


def written(project: Project, *texts: str, speaker: str = "") -> list[Line]:
    return lines.add(project, [Draft(text, speaker=speaker) for text in texts])


def started(project: Project, owner: User, **values: Any) -> SuggestionRun:
    asked = {"scope": Scope.UNNAMED, "narrator": "Narrator", "sent_to": ChatModel.load().destination, **values}
    return suggestions.start(project, owner, **asked)


def ended(run: SuggestionRun) -> SuggestionRun:
    """The run once nothing is done for it any more."""
    eventually(lambda: not SuggestionRun.objects.get(pk=run.pk).is_open)
    return SuggestionRun.objects.get(pk=run.pk)


def suggested(project: Project) -> list[tuple[str, str, int]]:
    """(text, speaker, percent) in the order of the lines."""
    return [(one.line.text, one.speaker, one.percent) for one in project.suggestions.select_related("line")]
