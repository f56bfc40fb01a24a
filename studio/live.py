"""Pages that change by themselves: one WebSocket per open page, which sends its live part as HTML."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.middleware import BaseMiddleware
from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.core.exceptions import PermissionDenied
from django.http.request import split_domain_port, validate_host
from django.utils import translation

from providers.database import DatabaseThreads

logger = logging.getLogger(__name__)

# At most ten messages a second reach a page, and its work rests between two of them.
PAUSE_SECONDS = 0.1
REST_SECONDS = 0.02
# How soon an open page notices that its session has ended or its person lost a right.
RECHECK_SECONDS = 15.0
SIGNED_OUT, FORBIDDEN, BROKEN = 4401, 4403, 4500
# To paint is work of the interpreter: many pages at once would hold up speech, and whatever else is done in threads.
_threads = DatabaseThreads("pages", 2)


class SameOrigin(BaseMiddleware):  # type: ignore[misc]  # untyped base
    """Refuses sockets that a foreign page opens: browsers send our cookies with them all the same."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        if not is_same_origin(scope):
            await receive()
            await send({"type": "websocket.close", "code": FORBIDDEN})
            return None
        return await super().__call__(scope, receive, send)


def is_same_origin(scope: dict[str, Any]) -> bool:
    """Whether the Origin header, which every browser sends, names the host and port that the socket came to."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    origin, host = headers.get(b"origin", ""), headers.get(b"host", "")
    domain, _port = split_domain_port(host)
    if not domain or not validate_host(domain, settings.ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]"]):
        return False
    with suppress(ValueError):
        parts = urlsplit(origin)
        same = parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()
        return same or origin in settings.CSRF_TRUSTED_ORIGINS
    return False


class LivePage(AsyncWebsocketConsumer):  # type: ignore[misc]  # untyped base
    """For signed-in people with one of the `permissions`. `render` is called in a thread whenever `changed` returns."""

    permissions: tuple[str, ...] = ()
    whole = True
    """Whether each message shows everything, so that one like the last need not be sent."""

    async def connect(self) -> None:
        self._groups = [f"user-{self.scope['user'].pk}", *self.groups_of_page()]
        self._pushing: asyncio.Task[None] | None = None
        # Accepted first: a page only hears the code of a socket that was open.
        await self.accept()
        if not self.scope["user"].is_authenticated:
            await self.close(SIGNED_OUT)
        elif not await _threads.run(self._may_stay):
            await self.close(FORBIDDEN)
        else:
            await self._listen()

    async def _listen(self) -> None:
        try:
            for group in self._groups:
                await self.channel_layer.group_add(group, self.channel_name)
        except Exception:
            # What the layer's service raises is the layer's own affair.
            logger.exception("A live page can't be told of changes; it opens again by itself.")
            await self.close(BROKEN)
            return
        self._pushing = asyncio.create_task(self._push())

    async def disconnect(self, code: int) -> None:
        if self._pushing is not None:
            self._pushing.cancel()
            await asyncio.gather(self._pushing, return_exceptions=True)
        for group in self._groups:
            try:
                await self.channel_layer.group_discard(group, self.channel_name)
            except Exception:
                logger.exception("A live page that has ended is still told of changes.")

    async def account_closed(self, event: dict[str, Any]) -> None:
        await self.close(SIGNED_OUT)

    def groups_of_page(self) -> Sequence[str]:
        """Further groups of the channel layer that the page listens to."""
        return ()

    async def changed(self) -> None:
        """Return once there is something new to show."""
        raise NotImplementedError

    def render(self) -> str:
        """The next message; empty where there is nothing to say. PermissionDenied ends the page."""
        raise NotImplementedError

    async def _push(self) -> None:
        try:
            await self.close(await self._follow())
        except Exception:
            logger.exception("A live page was closed; it opens again by itself.")
            await self.close(BROKEN)

    async def _follow(self) -> int:
        """Send what is new until the page has to end; the code that says why."""
        loop = asyncio.get_running_loop()
        checked, shown, sent = loop.time(), "", -PAUSE_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RECHECK_SECONDS):
                    await self.changed()
            if loop.time() - checked >= RECHECK_SECONDS:
                checked = loop.time()
                if not await _threads.run(self._may_stay):
                    return SIGNED_OUT
            begun = loop.time()
            try:
                text = await _threads.run(self._rendered)
            except PermissionDenied:
                return FORBIDDEN
            if text and not (self.whole and text == shown):
                # Where this one was made faster than the last.
                await asyncio.sleep(sent + PAUSE_SECONDS - loop.time())
                await self.send(text_data=text)
                shown, sent = text, loop.time()
            await asyncio.sleep(max(begun + PAUSE_SECONDS - loop.time(), REST_SECONDS))

    def _rendered(self) -> str:
        """In the language that the page has."""
        asked = parse_qs(self.scope["query_string"].decode("ascii", "replace")).get("language", [""])[0]
        with translation.override(asked if asked in dict(settings.LANGUAGES) else None):
            return self.render()

    def _may_stay(self) -> bool:
        """Still signed in by the same session, still active, still with the right; read anew."""
        session = self.scope["session"]
        user = get_user_model()._default_manager.filter(pk=self.scope["user"].pk, is_active=True, is_staff=True).first()
        there = bool(session.session_key and session.exists(session.session_key)) and SESSION_KEY in session
        return there and user is not None and any(map(user.has_perm, self.permissions))
