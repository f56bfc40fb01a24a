"""Live pages: who may open their sockets, what they are sent, and what ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from channels.layers import get_channel_layer
from django.contrib.auth.models import User
from django.test import Client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from api import runtime
from banks.models import Bank
from providers.models import Provider
from studio import live
from tests.admin_pages import person
from tests.conftest import add_character
from tests.test_api_errors import change_settings, say
from tests.upstreams.openai import OpenAIUpstream
from tests.upstreams.serving import WAIT_SECONDS, serve

QUEUE = "/admin/queue/live/"


@contextmanager
def socket(server: str, client: Client | None = None, path: str = QUEUE, **headers: str) -> Iterator[ClientConnection]:
    """A page's socket; `headers` replace what a browser sends, and "" leaves a header out."""
    cookie = f"sessionid={client.cookies['sessionid'].value}" if client else ""
    origin = headers.pop("origin", server)
    extra = {"Cookie": cookie} if cookie else {}
    address = server.replace("http://", "ws://") + path
    opened = connect(address, origin=origin or None, additional_headers=extra, open_timeout=WAIT_SECONDS, proxy=None)  # type: ignore[arg-type]
    with opened as made:
        yield made


def end_of(made: ClientConnection) -> int:
    """The code with which the server closes the socket."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            made.recv(timeout=WAIT_SECONDS)
    assert closed.value.rcvd is not None
    return int(closed.value.rcvd.code)


def until(made: ClientConnection, *words: str) -> str:
    """The first message that holds all the words."""
    while True:
        message = str(made.recv(timeout=WAIT_SECONDS))
        if all(word in message for word in words):
            return message


@pytest.fixture
def upstream(bank: Bank) -> Iterator[OpenAIUpstream]:
    change_settings(queue_deadline_seconds=600)
    app = OpenAIUpstream(held=True)
    with serve(app) as url:
        provider = Provider.objects.create(name="<b>Up", kind="openai", base_url=f"{url}/v1", max_concurrency=1)
        add_character(bank, provider, "Alloy", voice="alloy", model="tts-1")
        yield app
        app.release(100)


def test_the_queue_is_seen_as_it_changes(server: str, client_http: httpx.Client, upstream: OpenAIUpstream) -> None:
    with socket(server, person("providers.view_provider")) as page, ThreadPoolExecutor(2) as pool:
        until(page, "Nothing runs.", "Nothing waits.")
        asked = [pool.submit(say, client_http, voice="Alloy") for _ in range(2)]
        shown = until(page, "&lt;b&gt;Up", "starts in about")
        assert "<b>Up" not in shown and 'name="ticket"' not in shown, "a viewer may only look"
        upstream.release(100)
        until(page, "Nothing runs.", "Nothing waits.", "nr-light-ok")
        assert {each.result().status_code for each in asked} == {200}


def test_it_speaks_the_language_of_its_page(server: str) -> None:
    with socket(server, person("providers.view_provider"), f"{QUEUE}?language=no-such") as page:
        until(page, "Nothing runs.")


@pytest.mark.parametrize("origin", ["", "http://evil.example", "null", "http://127.0.0.1:1", "file://", "http://["])
def test_foreign_pages_open_no_socket(server: str, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, socket(server, person(superuser=True), origin=origin):
        pass
    assert refused.value.response.status_code == 403


def test_unknown_addresses_open_no_socket(server: str) -> None:
    with pytest.raises(InvalidStatus), socket(server, person(superuser=True), "/admin/nothing/"):
        pass


def test_who_may_watch(server: str) -> None:
    with socket(server) as nobody:
        assert end_of(nobody) == live.SIGNED_OUT
    for outsider in (person(), person("banks.view_bank"), person("providers.view_provider", staff=False)):
        with socket(server, outsider) as page:
            assert end_of(page) == live.FORBIDDEN
    with socket(server, person("providers.change_provider")) as page:
        until(page, "Nothing runs.")


def signed_in(*rights: str) -> tuple[Client, User]:
    client = person(*rights)
    return client, User.objects.get(pk=client.session["_auth_user_id"])


def test_an_account_that_is_closed_closes_its_pages(server: str) -> None:
    client, user = signed_in("providers.view_provider")
    with socket(server, client) as page:
        until(page, "Nothing runs.")
        (loop,) = runtime._runtimes.keys()
        closing = get_channel_layer().group_send(f"user-{user.pk}", {"type": "account.closed"})
        asyncio.run_coroutine_threadsafe(closing, loop).result(WAIT_SECONDS)
        assert end_of(page) == live.SIGNED_OUT


@pytest.mark.parametrize("end", ["signs out", "is deactivated", "loses the right"])
def test_an_open_page_ends_with_its_right(server: str, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setattr(live, "RECHECK_SECONDS", 0.2)
    client, user = signed_in("providers.view_provider")
    with socket(server, client) as page:
        until(page, "Nothing runs.")
        match end:
            case "signs out":
                client.logout()
            case "is deactivated":
                User.objects.filter(pk=user.pk).update(is_active=False)
            case _:
                user.user_permissions.clear()
        assert end_of(page) == live.SIGNED_OUT
