"""Calls to the chat model that an administrator configured: each in its turn, within its limits."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from django.utils import timezone

from providers import tracing
from providers.chat import ChatAnswer, ChatRequest, complete, objects_in
from providers.database import in_database
from providers.engine import Engine, ask_engine
from providers.errors import SpeechError, UpstreamFailed
from providers.limits import Cost
from providers.models import ChatModel, ChatSetup
from providers.queue import Priority, QueueRules, Waiting

# What is under way on its own waits for days, should the budget want it.
PATIENT = QueueRules(max_waiting=10_000, deadline=None)
_TEST = ChatRequest(
    instructions='You are asked whether you work. Answer with the JSON object {"ok": true} and nothing else.',
    text="Do you work?",
    schema={
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    },
)


async def call(
    engine: Engine,
    destination: str,
    request: ChatRequest,
    *,
    source: str = "",
    user_id: int | None = None,
    made_for: str = "",
) -> str:
    """What it answers, in words; for work in the background, which may wait long for a place. ProviderUnavailable where
    the text may not go to this destination (any more)."""
    limits = (await in_database(ChatModel.ready, destination)).config
    async with engine.chat_queue.slot(
        limits,
        Cost(),
        priority=Priority.BATCH,
        source=source,
        user_id=user_id,
        rules=PATIENT,
        made_for=made_for,
    ):
        # Much may have changed while it waited.
        setup = await in_database(ChatModel.ready, destination)
        return (await _complete(engine, setup, request)).text


def waiting_for(made_for: str) -> Waiting | None:
    """From a thread: what such a call waits for in the queue, if it does."""

    async def work(engine: Engine) -> Waiting | None:
        waiting = (await engine.chat_queue.snapshot()).waiting
        return next((one for one in waiting if one.ticket.made_for == made_for), None)

    return ask_engine(work)


async def check(engine: Engine, setup: ChatSetup) -> str:
    """Ask it for as little as can be, outside the queue as every check of health is, and keep what came of it.

    The problem is returned, empty where there is none.
    """
    problem, started = "", time.monotonic()
    try:
        answer = await _complete(engine, setup, _TEST)
        if not any("ok" in found for found in await asyncio.to_thread(lambda: list(objects_in(answer.text)))):
            raise UpstreamFailed("The chat model answered, but with other words than the JSON that it was asked for.")
    except SpeechError as error:
        problem = error.message
    found = {"checked_at": timezone.now(), "latency_ms": round((time.monotonic() - started) * 1000), "problem": problem}
    await in_database(ChatModel.objects.filter(pk=1).update, **found)
    return problem


async def _complete(engine: Engine, setup: ChatSetup, request: ChatRequest) -> ChatAnswer:
    asked = replace(request, model=setup.model, format=setup.format)
    with tracing.upstream_span(provider=setup.config.name, characters=len(request.text)):
        answer = await complete(engine.client, setup.config, asked)
    if answer.json_refused:
        # Of this server and model only: another one may be chosen meanwhile.
        same = ChatModel.objects.filter(pk=1, base_url=setup.config.base_url, model=setup.model)
        await in_database(same.update, json_refused=True)
    return answer
