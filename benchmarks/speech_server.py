"""The upstream: an OpenAI-shaped speech server that costs next to nothing.

The first part of the path decides how it answers: `/instant/v1/…` at once, `/stream/v1/…` in paced chunks and
`/slow/v1/…` in slow ones, `/paced/v1/…` whole after PACED_SECONDS, `/held/v1/…` once released, `/faulty/v1/…` with a
fault now and then. `/control/…` is for the benchmark itself.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import numpy as np

from providers.audio import encode
from providers.speech import AudioFormat

SAMPLE_RATE = 24_000
# Four seconds of mp3 are 48,960 bytes.
AUDIO_SECONDS = 4
CHUNKS = 4
PAUSE_SECONDS = 0.01
SLOW_SECONDS = 0.15
LATE_SECONDS = 2.0
PACED_SECONDS = 0.05

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def make_audio(format: AudioFormat = AudioFormat.MP3) -> bytes:
    """A tone that wanders: the same bytes every time."""
    time_axis = np.arange(SAMPLE_RATE * AUDIO_SECONDS) / SAMPLE_RATE
    wave = np.sin(2 * np.pi * (200 + 100 * np.sin(time_axis * 3)) * time_axis)
    return encode((wave * 12_000).astype("<i2").tobytes(), SAMPLE_RATE, format)


class SpeechServer:
    def __init__(self) -> None:
        self.audio = make_audio()
        self.wav = make_audio(AudioFormat.WAV)
        self.first_sent: dict[str, float] = {}
        self.held = 0
        self._faulty = count()
        self.calls = 0
        self.release = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await read_body(receive)
        match scope["path"].split("/")[1:]:
            case ["control", order]:
                await self._obey(order, send)
            case [_, "v1", "models"]:
                await send_json(send, {"object": "list", "data": [{"id": "tts-1", "object": "model"}]})
            case ["instant", "v1", "audio", "speech"]:
                self.calls += 1
                await send_whole(send, self.audio, b"audio/mpeg")
            case ["paced", "v1", "audio", "speech"]:
                await asyncio.sleep(PACED_SECONDS)
                wav = json.loads(body).get("response_format") == "wav"
                await send_whole(send, *((self.wav, b"audio/wav") if wav else (self.audio, b"audio/mpeg")))
            case ["stream", "v1", "audio", "speech"]:
                await self._stream(send, json.loads(body)["input"], PAUSE_SECONDS)
            case ["slow", "v1", "audio", "speech"]:
                await self._stream(send, json.loads(body)["input"], SLOW_SECONDS)
            case ["faulty", "v1", "audio", "speech"]:
                await self._fail_now_and_then(send)
            case ["held", "v1", "audio", "speech"]:
                await self._hold(send)
            case _:
                await send_json(send, {"error": {"message": "There is no such path."}}, status=404)

    async def _obey(self, order: str, send: Send) -> None:
        match order:
            case "hold":
                self.release.clear()
            case "release":
                self.release.set()
            case "forget":
                self.first_sent.clear()
                self.calls = 0
        known = {"held": self.held, "calls": self.calls, "first_sent": self.first_sent}
        await send_json(send, known | {"audio_bytes": len(self.audio)})

    async def _stream(self, send: Send, text: str, pause: float) -> None:
        await start(send, [(b"content-type", b"audio/mpeg")])
        size = -(-len(self.audio) // CHUNKS)
        for place in range(0, len(self.audio), size):
            await asyncio.sleep(pause)
            self.first_sent.setdefault(text, time.monotonic())
            await send({"type": "http.response.body", "body": self.audio[place : place + size], "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _fail_now_and_then(self, send: Send) -> None:
        """Of ten requests, five get their speech, and five each another fault."""
        match next(self._faulty) % 10:
            case 1:
                await send_json(send, {"error": {"message": "Out of memory."}}, status=500)
            case 3:
                await start(send, [(b"content-length", b"2"), (b"retry-after", b"1")], 429)
                await send({"type": "http.response.body", "body": b"{}"})
            case 5:
                await send_whole(send, b"<html>Not here.</html>", b"text/html")
            case 7:
                # Less than was promised: the server breaks the connection.
                await start(send, [(b"content-type", b"audio/mpeg"), (b"content-length", b"%d" % len(self.audio))])
                await send({"type": "http.response.body", "body": self.audio[: len(self.audio) // 2]})
            case 9:
                await asyncio.sleep(LATE_SECONDS)
                await send_whole(send, b"", b"audio/mpeg")
            case _:
                await send_whole(send, self.audio, b"audio/mpeg")

    async def _hold(self, send: Send) -> None:
        self.held += 1
        try:
            await self.release.wait()
        finally:
            self.held -= 1
        await send_whole(send, self.audio, b"audio/mpeg")


async def read_body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def start(send: Send, headers: list[tuple[bytes, bytes]], status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def send_whole(send: Send, body: bytes, content_type: bytes, status: int = 200) -> None:
    await start(send, [(b"content-type", content_type), (b"content-length", str(len(body)).encode())], status)
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, payload: object, status: int = 200) -> None:
    await send_whole(send, json.dumps(payload).encode(), b"application/json", status)
