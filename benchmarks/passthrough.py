"""The floor: the least that a Python process does to pass a speech request on. uvicorn in, httpx on aiohttp out."""

from __future__ import annotations

import json
from typing import Any

import httpx
from httpx_aiohttp import AiohttpTransport

from benchmarks.speech_server import Receive, Scope, Send, read_body, send_whole, start

CONNECTIONS = 1000


class PassThrough:
    """Sends each JSON body on to `upstream` + its path. With `stream` in the body the answer goes back as it comes."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._client = httpx.AsyncClient(
            transport=AiohttpTransport(limits=httpx.Limits(max_connections=CONNECTIONS)),
            trust_env=False,
            timeout=None,
            headers={"accept-encoding": "identity"},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = json.loads(await read_body(receive))
        answer = self._stream if body.get("stream") else self._whole
        await answer(send, self._upstream + scope["path"], body)

    async def _whole(self, send: Send, url: str, body: dict[str, Any]) -> None:
        response = await self._client.post(url, json=body)
        await send_whole(send, response.content, response.headers["content-type"].encode(), response.status_code)

    async def _stream(self, send: Send, url: str, body: dict[str, Any]) -> None:
        async with self._client.stream("POST", url, json=body) as response:
            headers = [(b"content-type", response.headers["content-type"].encode())]
            await start(send, headers, response.status_code)
            async for chunk in response.aiter_bytes():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
