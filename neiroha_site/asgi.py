"""Plain ASGI: the API by its own handler, the native API and the pages by Django, sockets by Channels."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from importlib import import_module
from ipaddress import ip_network
from typing import Any

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neiroha_site.settings")
django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter  # noqa: E402 - Django has to be set up first
from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware  # noqa: E402

from api.handler import URLCONF, ApiHandler, is_api_path  # noqa: E402
from api.native.entrance import NativeEntrance, is_native_path  # noqa: E402
from api.runtime import close_runtime, current_runtime  # noqa: E402
from neiroha_site.sockets import routes  # noqa: E402

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


# A form with the largest reference recording and some room; pages that take more: an exported bank, and a database with
# its audio.
MAX_PAGE_BODY = 32 * 1024 * 1024
MAX_IMPORT_BODIES = {"/admin/banks/bank/import/": 102 * 1024 * 1024, "/studio/desktop/": 702 * 1024 * 1024}


class HttpRouter:
    """Paths of the API never touch the pages' middleware, nor the other way round."""

    def __init__(self) -> None:
        # Errors in the routes belong to the start, not to the first request.
        import_module(URLCONF)
        self.api = ApiHandler()
        self.pages = ASGIHandler()
        self.native = NativeEntrance(self.pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allow_own_address(scope)
        if is_api_path(scope["path"]):
            await self.api(scope, receive, send)
        else:
            # A client's header must not move our addresses.
            scope = {**scope, "root_path": ""}
            django = self.native if is_native_path(scope["path"]) else self._pages
            # A request that comes while the answer before it on its connection ends would share that one's context, and
            # so its thread, which ends with it and leaves its database connection open.
            await asyncio.create_task(django(scope, receive, send), context=Context())

    async def _pages(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Django takes a body in whole, on disk, before any view can refuse it: so it is bounded here."""
        received = 0
        most = MAX_IMPORT_BODIES.get(scope["path"], MAX_PAGE_BODY)

        async def bounded() -> Mapping[str, Any]:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            # Told that the client has left, Django drops what it holds and answers nothing.
            return message if received <= most else {"type": "http.disconnect"}

        await self.pages(scope, bounded, send)
        if received > most:
            headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 413, "headers": headers})
            await send({"type": "http.response.body", "body": b"The upload is too large."})


def allow_own_address(scope: Scope) -> None:
    """The address that a connection came to is this machine's: as a Host it can't be the work of foreign DNS."""
    address = (scope.get("server") or ("", 0))[0]
    host = f"[{address}]" if ":" in address else address
    if host and host not in settings.ALLOWED_HOSTS:
        settings.ALLOWED_HOSTS.append(host)


class Sockets:
    """Channels' routes, opened at the address that the connection came to."""

    def __init__(self) -> None:
        self.routes = routes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allow_own_address(scope)
        await self.routes({**scope, "root_path": ""}, receive, send)


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    current_runtime()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await close_runtime()
    await send({"type": "lifespan.shutdown.complete"})


def _build() -> Any:
    router = ProtocolTypeRouter({"http": HttpRouter(), "websocket": Sockets(), "lifespan": lifespan})
    if settings.TRUSTED_PROXIES:
        # 172.17.0.1/16 means its network; as it stands it would match nothing.
        networks = [str(ip_network(entry, strict=False)) for entry in settings.TRUSTED_PROXIES]
        return ProxyHeadersMiddleware(router, trusted_hosts=networks)
    return router


application = _build()
