"""Messages to groups of listeners, while what carries them is away and after."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, get_channel_layer
from pytest_django import Settings

from providers import broadcast
from studio import events

MESSAGE = {"type": "news", "number": 1}


class BrokenLayer(InMemoryChannelLayer):  # type: ignore[misc]  # untyped base
    """Fails so many times, and then works."""

    failures = 0

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if type(self).failures > 0:
            type(self).failures -= 1
            raise ConnectionRefusedError
        await super().group_send(group, message)


@pytest.fixture(autouse=True)
def layer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> type[BrokenLayer]:
    for name in ("RETRY_SECONDS", "SETTLE_SECONDS"):
        monkeypatch.setattr(broadcast, name, 0.01)
    monkeypatch.setattr(BrokenLayer, "failures", 0)
    # Another test's may still run in this process.
    monkeypatch.setattr(broadcast, "serving_loops", list)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "tests.test_broadcast.BrokenLayer"}}
    return BrokenLayer


async def heard(group: str, work: Any) -> list[dict[str, Any]]:
    """What somebody in the group is sent, up to a last message."""
    layer: Any = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    await work
    await layer.group_send(group, {"type": "end"})
    found: list[dict[str, Any]] = []
    while not found or found[-1]["type"] != "end":
        found.append(await layer.receive(channel))
    return found[:-1]


def test_a_message_is_sent_once() -> None:
    assert asyncio.run(heard("a", broadcast.send("a", MESSAGE))) == [MESSAGE]


def test_what_could_not_be_sent_is_sent_later_and_once_more(
    layer: type[BrokenLayer], caplog: pytest.LogCaptureFixture
) -> None:
    layer.failures = 5
    assert asyncio.run(heard("a", broadcast.send("a", MESSAGE))) == [MESSAGE, MESSAGE]
    assert caplog.text.count("it is tried again") == 1, "the log is not filled with it"


def test_it_is_given_up_at_last(layer: type[BrokenLayer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast, "TRIES", 3)
    layer.failures = 3
    assert asyncio.run(heard("a", broadcast.send("a", MESSAGE))) == []


def test_without_a_redis_and_a_server_nobody_is_told_and_nothing_fails(layer: type[BrokenLayer]) -> None:
    layer.failures = 1
    broadcast.send_from_thread("a", MESSAGE)
    assert layer.failures == 1


def test_a_command_tells_by_itself_where_there_is_a_redis(
    layer: type[BrokenLayer], settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS_URL = "redis://redis/0"
    layer.failures = 1
    broadcast.send_from_thread("a", MESSAGE)
    assert layer.failures == 0 and "could not be told" in caplog.text, "the change itself has been made"


def test_news_of_a_project_wait_while_they_can_not_be_told(layer: type[BrokenLayer]) -> None:
    async def noted() -> None:
        publisher = events.open_publisher()
        layer.failures = 3
        publisher.note(7, [1])
        while layer.failures:
            await asyncio.sleep(0.01)
        publisher.note(7, [2], structure=True)
        await events.close_publisher()

    found = asyncio.run(heard(events.group(7), noted()))
    assert {line for message in found for line in message["lines"]} == {1, 2}
    assert found[-1]["structure"] is True
