"""What the fakes of Neiroha's three local backends share: routing, strict bodies as their framework checks them, real
words at the model's own rate, and the way in which they break."""

from __future__ import annotations

import asyncio
import json
import re
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote

import numpy as np

from providers.audio import encode, wav_header
from providers.speech import AudioFormat
from tests.upstreams import common
from tests.upstreams.common import Received, Refusal, Send, spoken_samples

Handler = Callable[[Received, Send], Awaitable[None]]

MAX_TEXT_PART_BYTES = 1024 * 1024
CONTENT_TYPES = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "pcm": "audio/pcm",
    "raw": "application/octet-stream",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
    "opus": "audio/ogg",
}
FFMPEG_FORMATS = frozenset({"mp3", "aac", "opus"})


class Crash(Exception):
    """An unhandled error: the server answers 500 as text, then the connection is dead without a word."""


@dataclass(slots=True)
class Switches(common.Switches):
    # The backends send whole files with their length.
    chunked: bool = False
    native: bool = True
    """Without it the server is an older one that has the legacy routes only."""
    crashes: int = 0
    """So many requests, from now on, end in an unhandled error."""
    ffmpeg: bool = True
    loaded: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    filename: str | None
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Spoken:
    """A request for speech as it came: the fields that were there, and the files."""

    path: str
    fields: dict[str, Any]
    files: dict[str, Part] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Typed:
    """A field as the backends' framework checks it."""

    type: type = str
    nullable: bool = False
    low: float | None = None
    high: float | None = None


TEXT, MAYBE_TEXT, SWITCH, WHOLE, NUMBER = Typed(), Typed(nullable=True), Typed(bool), Typed(int), Typed(float)


class BackendUpstream(common.Upstream):
    """`spoken` holds the requests for speech, in order, whether they were refused or not."""

    switches: Switches
    sample_rate: ClassVar[int]
    public: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        super().__init__()
        self.spoken: list[Spoken] = []

    @abstractmethod
    def routes(self) -> dict[str, dict[str, Handler]]:
        """path -> method -> who answers; the native ones are under /api/<backend>/."""

    @abstractmethod
    def error(self, status: int, code: str, message: str, type: str = "invalid_request_error") -> Refusal:
        """A refusal in the backend's own shape."""

    def unknown_route(self, status: int, message: str) -> Refusal:
        return framework_error(status, message)

    def check_key(self, request: Received) -> None:
        """Refuse a wrong key; some backends have none."""
        return None

    async def route(self, request: Received, send: Send) -> None:
        if self.switches.crashes:
            self.switches.crashes -= 1
            await self.crash(send)
        if not request.path.startswith(self.public):
            self.check_key(request)
        methods = self._methods(request.path)
        if not methods:
            raise self.unknown_route(404, "Not Found")
        if request.method not in methods:
            raise self.unknown_route(405, "Method Not Allowed")
        await methods[request.method](request, send)

    def _methods(self, path: str) -> dict[str, Handler]:
        routes = self.routes()
        if not self.switches.native:
            native = [known for known in routes if re.match(r"/api/[a-z-]+/", known)]
            routes = {known: routes[known] for known in routes if known not in native}
        return routes.get(path) or next(
            (routes[known] for known in routes if known.endswith("/*") and path.startswith(known[:-1])), {}
        )

    def record(self, request: Received, fields: dict[str, Any], files: dict[str, Part] | None = None) -> None:
        self._note(spoken=[*self.spoken, Spoken(request.path, fields, files or {})])

    async def crash(self, send: Send) -> None:
        await self.send(send, 500, {"content-type": "text/plain; charset=utf-8"}, b"Internal Server Error")
        raise Crash

    async def send_speech(self, send: Send, text: str, format: str, speed: float, headers: Mapping[str, str]) -> None:
        if not self.switches.ffmpeg and format in FFMPEG_FORMATS:
            raise self.no_ffmpeg()
        speech = self.switches.speech
        if speech is None:
            speech = await asyncio.to_thread(speak, text, format, speed, self.sample_rate)
        common_headers = {
            "content-type": self.switches.speech_type or CONTENT_TYPES[format],
            "x-neiroha-sample-rate": str(self.sample_rate),
            "x-neiroha-output-format": format,
            "x-neiroha-audio-seconds": "2.5",
            "x-neiroha-elapsed-seconds": "0.5",
            "x-neiroha-rtf": "0.200000",
        }
        await self.send_audio(send, {**common_headers, **headers, **self.switches.headers}, speech)

    def no_ffmpeg(self) -> Refusal:
        return self.error(404, "invalid_reference_audio", "[Errno 2] No such file or directory: 'ffmpeg'")

    def listing(self, payload: Callable[[], object]) -> dict[str, Handler]:
        async def answer(request: Received, send: Send) -> None:
            await self.send_json(send, payload())

        return {"GET": answer}


def framework_error(status: int, detail: object) -> Refusal:
    return Refusal(status, body=json.dumps({"detail": detail}).encode())


def invalid(place: str, name: str, message: str, value: object = None) -> Refusal:
    return framework_error(422, [{"type": "value_error", "loc": [place, name], "msg": message, "input": value}])


def query_number(request: Received, name: str, default: int) -> int:
    return int(parse_qs(request.query).get(name, [str(default)])[0])


def last_segment(request: Received) -> str:
    return unquote(request.path.rpartition("/")[2])


# Bodies.


def json_fields(request: Received, known: Mapping[str, Typed], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a JSON body; unknown ones are taken and ignored."""
    if request.headers.get("content-type") != "application/json":
        raise invalid("body", "body", "Input should be a valid dictionary")
    try:
        fields = request.json()
    except ValueError:
        raise invalid("body", "0", "JSON decode error") from None
    if not isinstance(fields, dict):
        raise invalid("body", "body", "Input should be a valid dictionary")
    for name in required:
        if name not in fields:
            raise invalid("body", name, "Field required")
    return {name: _checked(name, value, known.get(name)) for name, value in fields.items()}


def _checked(name: str, value: Any, typed: Typed | None) -> Any:
    if typed is None or (value is None and typed.nullable):
        return value
    wanted = (int, float) if typed.type is float else typed.type
    if not isinstance(value, wanted) or (isinstance(value, bool) and typed.type is not bool):
        raise invalid("body", name, f"Input should be a valid {typed.type.__name__}", value)
    return _in_range(name, value, typed)


def _in_range(name: str, value: Any, typed: Typed) -> Any:
    if (typed.low is not None and value < typed.low) or (typed.high is not None and value > typed.high):
        raise invalid("body", name, f"Input should be from {typed.low} to {typed.high}", value)
    return value


def form_fields(
    request: Received, known: Mapping[str, Typed], files: tuple[str, ...], required: tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, Part]]:
    """The text parts in their types, and the file parts, of a multipart body."""
    texts: dict[str, Any] = {}
    uploads: dict[str, Part] = {}
    for part in parts(request):
        if part.filename is None and len(part.body) > MAX_TEXT_PART_BYTES:
            raise framework_error(400, "Part exceeded maximum size of 1024KB.")
        if part.name in files:
            if part.filename is None:
                raise invalid("body", part.name, "Expected UploadFile, received: <class 'str'>")
            uploads[part.name] = part
        elif part.name in known:
            if part.filename is not None:
                raise invalid("body", part.name, "Input should be a valid string")
            texts[part.name] = _parsed(part.name, part.body.decode(), known[part.name])
    for name in required:
        if name not in texts:
            raise invalid("body", name, "Field required")
    return texts, uploads


def _parsed(name: str, text: str, typed: Typed) -> Any:
    if typed.type is bool:
        if text not in ("true", "false"):
            raise invalid("body", name, "Input should be a valid boolean", text)
        return text == "true"
    try:
        return typed.type(text)
    except ValueError:
        raise invalid("body", name, f"Input should be a valid {typed.type.__name__}", text) from None


def parts(request: Received) -> list[Part]:
    content_type = request.headers.get("content-type", "")
    boundary = re.fullmatch(r"multipart/form-data; boundary=([\w'()+,./:=?-]+)", content_type)
    if boundary is None:
        raise invalid("body", "text", "Field required")
    opening, *sections, ending = request.body.split(b"--" + boundary[1].encode())
    if opening or ending.strip() != b"--":
        raise framework_error(400, "There was an error parsing the body")
    return [_part(section) for section in sections]


def _part(section: bytes) -> Part:
    head, _, body = section.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    lines = [line.partition(": ") for line in head.decode().split("\r\n")]
    headers = {name.lower(): value for name, _, value in lines}
    disposition = dict(re.findall(r'(\w+)="([^"]*)"', headers["content-disposition"]))
    return Part(
        disposition["name"],
        disposition.get("filename"),
        headers.get("content-type", ""),
        body.removesuffix(b"\r\n"),
    )


# Sound.


@lru_cache(maxsize=64)
def speak(text: str, format: str, speed: float, sample_rate: int) -> bytes:
    """Real words in a whole file with true sizes; pcm and raw have the model's rate, and no header."""
    pcm = resampled(spoken_samples(text, speed), 24_000, sample_rate)
    if format == "wav":
        return wav_header(sample_rate, len(pcm)) + pcm
    # Ogg Vorbis and Ogg Opus are told apart by nobody here.
    return pcm if format in ("pcm", "raw") else encode(pcm, sample_rate, AudioFormat(format.replace("ogg", "opus")))


def resampled(pcm: bytes, rate: int, wanted: int) -> bytes:
    samples = np.frombuffer(pcm, "<i2")
    places = np.arange(int(len(samples) * wanted / rate)) * rate / wanted
    return bytes(np.interp(places, np.arange(len(samples)), samples).astype("<i2").tobytes())
