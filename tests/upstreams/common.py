"""What every fake upstream is made of: an ASGI application that records, waits, refuses and breaks as it is told."""

from __future__ import annotations

import asyncio
import json
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

import numpy as np
from hibari import Hibari

from providers.audio import encode
from providers.speech import AudioFormat
from tests.upstreams.serving import WAIT_SECONDS

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class CutOff(Exception):
    """Raised inside the application after the answer began: the server breaks the connection."""


@dataclass(eq=False)
class Refusal(Exception):
    """An answer in OpenAI's error shape, or with `body` in any other."""

    status: int
    message: str = ""
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def content(self) -> bytes:
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return json.dumps({"error": error}).encode() if self.body is None else self.body


@dataclass(frozen=True, slots=True)
class Received:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Switches:
    """How the server behaves from now on."""

    key: str = ""
    refusals: list[Refusal] = field(default_factory=list)
    """Answered first, one a request, whatever the request is."""
    delay: float = 0.0
    """Seconds before each answer."""
    held: bool = False
    """Nothing is answered until `release()`."""
    chunked: bool = True
    chunk_bytes: int = 4096
    gated: bool = False
    """Every chunk waits for a `release()` of its own."""
    cut_after: int | None = None
    """Break the connection after so many chunks."""
    speech: bytes | None = None
    """The body of a successful answer, in place of speech."""
    speech_type: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Upstream(ABC):
    """The ASGI application. Tests read `requests`, `peak` and the other counters, and wait with `wait_for`."""

    switches: Switches

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.current = 0
        self.peak = 0
        self.disconnects = 0
        self.chunks_sent = 0
        self._changed = threading.Condition()
        self._released = 0
        self._turns: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()

    @abstractmethod
    async def route(self, request: Received, send: Send) -> None:
        """Answer one request, or raise Refusal."""

    def counts(self, request: Received) -> bool:
        """Whether it is one of `current` and `peak`."""
        return True

    def release(self, chunks: int = 1) -> None:
        """Let so many more chunks, or held answers, go."""
        with self._changed:
            self._released += chunks
            while self._released and self._turns:
                loop, turn = self._turns.popleft()
                if not turn.done():
                    self._released -= 1
                    loop.call_soon_threadsafe(_wake, turn)

    def wait_for(self, condition: Callable[[Self], bool]) -> None:
        """Return once the condition holds; for another thread than the server's."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), WAIT_SECONDS), "the upstream never came to that"

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = await _read(scope, receive)
        working = self.counts(request)
        self._note(requests=[*self.requests, request], current=self.current + working)

        def rest() -> None:
            nonlocal working
            if working:
                working = False
                self._note(current=self.current - 1)

        async def send_on(message: Message) -> None:
            # Whoever reads the end may come again before this task goes on.
            if message["type"] == "http.response.body" and not message.get("more_body"):
                rest()
            await send(message)

        work = asyncio.create_task(self._answer(request, send_on))
        watch = asyncio.ensure_future(receive())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self._note(disconnects=self.disconnects + 1)
        finally:
            watch.cancel()
            work.cancel()
            outcome = await asyncio.gather(work, watch, return_exceptions=True)
            rest()
        if isinstance(outcome[0], Exception):
            raise outcome[0]

    def _note(self, **counters: Any) -> None:
        with self._changed:
            for name, value in counters.items():
                setattr(self, name, value)
            self.peak = max(self.peak, self.current)
            self._changed.notify_all()

    async def _answer(self, request: Received, send: Send) -> None:
        try:
            if self.switches.refusals:
                raise self.switches.refusals.pop(0)
            if self.switches.delay:
                await asyncio.sleep(self.switches.delay)
            if self.switches.held:
                await self._turn()
            await self.route(request, send)
        except Refusal as refusal:
            headers = {"content-type": "application/json", **refusal.headers}
            await self.send(send, refusal.status, headers, refusal.content())

    async def send_audio(self, send: Send, headers: dict[str, str], speech: bytes) -> None:
        if not self.switches.chunked:
            await self.send(send, 200, headers, speech)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _encoded(headers)})
        size = self.switches.chunk_bytes
        for number, start in enumerate(range(0, len(speech), size)):
            if number == self.switches.cut_after:
                raise CutOff
            if self.switches.gated:
                await self._turn()
            # Before it is sent: whoever reads it may look here before this task goes on.
            self._note(chunks_sent=self.chunks_sent + 1)
            await send({"type": "http.response.body", "body": speech[start : start + size], "more_body": True})
        await send({"type": "http.response.body"})

    async def _turn(self) -> None:
        """Wait for one `release()`."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        with self._changed:
            if self._released:
                self._released -= 1
                return
            self._turns.append((loop, turn))
        await turn

    async def send_json(self, send: Send, payload: object, status: int = 200) -> None:
        await self.send(send, status, {"content-type": "application/json"}, json.dumps(payload).encode())

    async def send(self, send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
        headers = {**headers, "content-length": str(len(body))}
        await send({"type": "http.response.start", "status": status, "headers": _encoded(headers)})
        await send({"type": "http.response.body", "body": body})


def _wake(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


async def _read(scope: MutableMapping[str, Any], receive: Receive) -> Received:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
    return Received(scope["method"], scope["path"], scope["query_string"].decode(), headers, bytes(body))


_speaking = threading.Lock()


@lru_cache(maxsize=1)
def _engine() -> Any:
    return Hibari(threads=1)


def spoken_samples(text: str, speed: float) -> bytes:
    """Real words as 24 kHz mono s16le samples, the same bytes every time."""
    with _speaking:
        return _samples(text, speed)


@lru_cache(maxsize=64)
def _samples(text: str, speed: float) -> bytes:
    samples = np.asarray(_engine()(text, speed=min(max(speed, 0.5), 2.0)))
    return bytes((np.clip(samples * 2, -1, 1) * 32767).astype("<i2").tobytes())


@lru_cache(maxsize=64)
def speak(text: str, format: str, speed: float) -> bytes:
    """Real words, the same bytes every time. WAV sizes are unknown ones, as OpenAI's always are."""
    audio = encode(spoken_samples(text, speed), 24_000, AudioFormat(format))
    if format == "wav":
        return audio[:4] + b"\xff" * 4 + audio[8:40] + b"\xff" * 4 + audio[44:]
    return audio
