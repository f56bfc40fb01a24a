"""The vocabulary of speech: what is asked of a provider, what it can do, what comes back.

Plain values only; standard library only. Text is str without lone surrogates, audio is bytes,
durations are seconds, speed is a multiplier (1.0 = the voice's own pace).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

OptionValue = str | int | float | bool


class AudioFormat(StrEnum):
    MP3 = "mp3"
    OPUS = "opus"
    AAC = "aac"
    FLAC = "flac"
    WAV = "wav"
    PCM = "pcm"

    @property
    def content_type(self) -> str:
        return _CONTENT_TYPES[self]


_CONTENT_TYPES = {
    AudioFormat.MP3: "audio/mpeg",
    AudioFormat.OPUS: "audio/ogg; codecs=opus",
    AudioFormat.AAC: "audio/aac",
    AudioFormat.FLAC: "audio/flac",
    AudioFormat.WAV: "audio/wav",
    AudioFormat.PCM: "audio/pcm",
}

# OpenAI's `pcm` has no header, so its shape is fixed: 24 kHz, 16-bit little-endian, mono.
PCM_SAMPLE_RATE = 24_000

SPEED_MIN, SPEED_MAX = 0.25, 4.0


class TaskMode(StrEnum):
    PRESET = "preset"
    CLONE = "clone"
    DESIGN = "design"


class OptionType(StrEnum):
    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Option:
    """A setting that an adapter declares; forms and validation follow from it."""

    name: str
    label: str
    type: OptionType = OptionType.TEXT
    default: OptionValue | None = None
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    help: str = ""


@dataclass(frozen=True, slots=True)
class TaskModeFields:
    """Which of a character's fields a task mode reads: `model`, `voice`, `reference`, `prompt_text`,
    `prompt_language`, `language`, `instruction`."""

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an adapter can do by itself; Neiroha does the rest (speed, format) or refuses (instructions)."""

    task_modes: Mapping[TaskMode, TaskModeFields]
    formats: frozenset[AudioFormat]
    speed: tuple[float, float] | None = None
    instructions: bool = False
    streaming: bool = False
    needs_base_url: bool = False
    needs_key: bool = False
    piece_characters: int = 4096
    default_concurrency: int = 4
    provider_options: tuple[Option, ...] = ()
    character_options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that a provider lists. `id` is what the provider wants to be sent; `model` is the only one it is in."""

    id: str
    name: str
    language: str = ""
    gender: str = ""
    description: str = ""
    styles: tuple[str, ...] = ()
    model: str = ""
    task_mode: TaskMode | None = None


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """Reference audio for cloning: a whole file (WAV, as stored), never a path."""

    audio: bytes = field(repr=False)
    filename: str = "reference.wav"


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """One call to a provider. `format` is one that its capabilities name; `speed` is 1.0 unless they have it."""

    text: str
    task_mode: TaskMode = TaskMode.PRESET
    model: str = ""
    voice: str = ""
    instructions: str = ""
    language: str = ""
    speed: float = 1.0
    format: AudioFormat = AudioFormat.WAV
    reference: Reference | None = None
    prompt_text: str = ""
    prompt_language: str = ""
    options: Mapping[str, OptionValue] = field(default_factory=dict)


@dataclass(slots=True)
class SpeechAudio:
    """What a provider answers.

    `chunks` yields the bytes of one file in `format`. `sample_rate` is needed for headerless PCM (mono, 16-bit
    little-endian) and 0 where the file tells. `streaming` says that bytes come while the provider still speaks.
    `headers` are the provider's own, lower-case names, for the log.
    """

    chunks: AsyncIterator[bytes]
    format: AudioFormat
    sample_rate: int = 0
    streaming: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


class Rejoined:
    """Chunks whose first was read already."""

    __slots__ = ("_head", "_rest")

    def __init__(self, head: bytes, rest: AsyncIterator[bytes]) -> None:
        self._head = head
        self._rest = rest

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if head := self._head:
            self._head = b""
            return head
        return await anext(self._rest)


@dataclass(frozen=True, slots=True)
class Health:
    """`reason` is empty when all is well, else says what to do. None: this kind of provider does not tell.

    `admin_url` is the backend's own administration page, where it names one.
    """

    reachable: bool
    reason: str = ""
    key_accepted: bool | None = None
    right_kind: bool | None = None
    model_loaded: bool | None = None
    admin_url: str = ""


@dataclass(frozen=True, slots=True)
class ProviderConfig:
    """A provider as plain, frozen values; the key is kept out of every repr. `problem` says why it can't be used."""

    id: int
    name: str
    kind: str
    base_url: str = ""
    key: str = field(default="", repr=False)
    timeout: float = 120.0
    max_concurrency: int = 4
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    requests_per_day: int = 0
    tokens_per_day: int = 0
    time_zone: str = "UTC"
    piece_characters: int = 0
    problem: str = ""
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    # Of the configuration that these values are from: a higher one is newer. No part of what they are.
    version: int = field(default=0, compare=False)
