"""httpx's client on the short way: what a call to a provider needs, and nothing that no provider may use anyway."""

from __future__ import annotations

import json as standard_json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import httpx

_encode = standard_json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class ProviderClient(httpx.AsyncClient):
    """Follows no redirect, keeps no cookie, answers no challenge: so a plain request is built and sent without the
    steps that httpx has for these, which cost more than the call itself. Anything else goes httpx's own way."""

    def __init__(self, transport: httpx.AsyncBaseTransport, **settings: Any) -> None:
        super().__init__(transport=transport, follow_redirects=False, trust_env=False, **settings)
        self._short_way = transport
        self._common = {name.lower(): value for name, value in self.headers.items()}

    def build_request(self, method: str, url: httpx.URL | str, **given: Any) -> httpx.Request:
        plain = given.keys() <= _PLAIN and isinstance(given.get("timeout"), httpx.Timeout)
        if not plain:
            return super().build_request(method, url, **given)
        headers, content = dict(self._common), given.get("content")
        if (payload := given.get("json")) is not None:
            content, headers["content-type"] = _encode(payload).encode(), "application/json"
        headers |= _lower(given.get("headers") or {})
        parsed = _parsed(url) if isinstance(url, str) else url
        timeout: httpx.Timeout = given["timeout"]
        return httpx.Request(
            method, parsed, headers=headers, content=content, extensions={"timeout": timeout.as_dict()}
        )

    async def send(self, request: httpx.Request, *, stream: bool = False, **given: Any) -> httpx.Response:
        if given or not stream or self.is_closed or request.url.userinfo:
            return await super().send(request, stream=stream, **given)
        response = await self._short_way.handle_async_request(request)
        response.request = request
        return response


_PLAIN = {"content", "json", "headers", "timeout"}


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@lru_cache(maxsize=256)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)
