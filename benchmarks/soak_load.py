"""What a server meets in a long life, as a process: `python -m benchmarks.soak_load` reads an Order as JSON.

Many clients at once, some of whom ask for what fails, leave in the middle or may not come in. Prints how often each
kind got which answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks.load import loop_factory
from benchmarks.stage import speech

PAUSE_SECONDS = 0.1
# A live page is left and opened again.
LOOK_SECONDS = 5.0
ANSWER_SECONDS = 120.0
LEFT, BROKEN, REFUSED = "left", "broken off", "refused"


@dataclass(frozen=True, slots=True)
class Order:
    """`session`: a cookie of somebody who may see the project's page."""

    url: str
    key: str
    session: str
    project: int
    seconds: float


class Load:
    def __init__(self, order: Order, http: aiohttp.ClientSession) -> None:
        self.order, self.http = order, http
        self.counts: dict[str, Counter[str]] = {}
        self._end = time.monotonic() + order.seconds

    async def run(self) -> None:
        clients: list[tuple[str, int, Callable[[], Awaitable[str]]]] = [
            ("speech", 4, lambda: self.say("instant")),
            ("another format", 1, lambda: self.say("paced", response_format="flac")),
            ("streamed", 2, lambda: self.say("slow", stream=True)),
            ("left in the middle", 2, self.leave),
            ("through a faulty upstream", 3, lambda: self.say("faulty")),
            ("unknown voice", 1, lambda: self.say("nobody")),
            ("wrong key", 1, lambda: self.say("instant", key="nr-wrong")),
            ("no JSON", 1, self.babble),
            ("lists", 1, lambda: self.get("/v1/audio/voices")),
            ("health", 1, lambda: self.get("/health")),
            ("project's page", 1, lambda: self.get(f"/studio/projects/{self.order.project}/")),
            ("live page", 2, self.look),
            ("live page of a stranger", 1, self.intrude),
        ]
        async with asyncio.TaskGroup() as group:
            for name, many, ask in clients:
                self.counts[name] = Counter()
                for _ in range(many):
                    group.create_task(self._again_and_again(name, ask))

    async def _again_and_again(self, name: str, ask: Callable[[], Awaitable[str]]) -> None:
        while time.monotonic() < self._end:
            try:
                self.counts[name][await ask()] += 1
            except aiohttp.ClientError:
                self.counts[name][BROKEN] += 1
            await asyncio.sleep(PAUSE_SECONDS)

    def _post(self, body: dict[str, Any] | bytes, key: str = "") -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {key or self.order.key}", "content-type": "application/json"}
        return self.http.post(f"{self.order.url}/v1/audio/speech", data=data, headers=headers)

    async def say(self, voice: str, key: str = "", **fields: Any) -> str:
        async with self._post(speech(voice, **fields), key) as answer:
            await answer.read()
            return str(answer.status)

    async def babble(self) -> str:
        async with self._post(b"{this is not JSON") as answer:
            await answer.read()
            return str(answer.status)

    async def leave(self) -> str:
        async with self._post(speech("slow", stream=True)) as answer:
            await answer.content.readany()
            answer.close()
            return LEFT if answer.status == 200 else str(answer.status)

    async def get(self, path: str) -> str:
        headers = {"authorization": f"Bearer {self.order.key}"} if path.startswith("/v1/") else self._cookie()
        async with self.http.get(self.order.url + path, headers=headers) as answer:
            await answer.read()
            return str(answer.status)

    async def look(self) -> str:
        address = f"{self.order.url}/studio/projects/{self.order.project}/live/"
        headers = {"origin": self.order.url, **self._cookie()}
        async with self.http.ws_connect(address, headers=headers) as page:
            end = time.monotonic() + LOOK_SECONDS
            try:
                while (left := end - time.monotonic()) > 0:
                    await page.receive(left)
            except TimeoutError:
                pass
        return LEFT

    async def intrude(self) -> str:
        try:
            async with self.http.ws_connect(f"{self.order.url}/admin/queue/live/") as page:
                await page.receive()
        except aiohttp.WSServerHandshakeError as error:
            return str(error.status)
        return REFUSED

    def _cookie(self) -> dict[str, str]:
        return {"cookie": f"sessionid={self.order.session}"}


async def carry_out(order: Order) -> dict[str, Counter[str]]:
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    # Cookies are of the order, not of the answers.
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout, cookie_jar=jar) as http:
        load = Load(order, http)
        await load.run()
    return load.counts


def main() -> None:
    order = Order(**json.loads(sys.stdin.read()))
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        print(json.dumps(runner.run(carry_out(order))))


if __name__ == "__main__":
    main()
