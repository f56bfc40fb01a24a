"""The one door to speech, and the shared queue's only caller.

`speak` checks the wish against what the provider can do, then waits for a slot, calls the provider, and returns once
the first bytes are there, so that failures before them still have a status. Each provider call holds its own slot, from
before its first byte to after its last.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from banks.delivery import Speech, UpstreamReport
from banks.pieces import speakable, split_into_pieces
from banks.roster import Speaker
from banks.storage import private_storage, translated
from banks.watched import WatchedPlace, transcoding, upstream_call
from providers.adapters.base import Adapter
from providers.audio import Transcoder, stated, transcoded, wav_sizes_are_true
from providers.engine import Engine
from providers.errors import (
    BadAudio,
    NothingToSay,
    ProviderError,
    ProviderResting,
    ProviderUnavailable,
    SpeechError,
    UnsupportedOption,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamQuotaSpent,
    UpstreamTimeout,
    UpstreamUnauthorized,
    UpstreamUnreachable,
)
from providers.queue import NOTHING, Cost, Priority, QueueRules
from providers.speech import (
    PCM_SAMPLE_RATE,
    SPEED_MAX,
    SPEED_MIN,
    AudioFormat,
    Capabilities,
    Reference,
    Rejoined,
    SpeechAudio,
    SpeechRequest,
)

# Speech that has begun is not broken off because its next piece has to wait.
CONTINUED = QueueRules(max_waiting=1_000_000, deadline=None, begun=True)
# From so many characters on, a dictionary takes too long for the loop.
LONG_TEXT = 2000
# Waits before another try; each is drawn from once to twice its length, so that callers do not come back together.
RETRY_SECONDS = (0.5, 1.0)
# A provider's whole answer for one piece; more than three hours of speech as mp3.
MAX_WHOLE_BYTES = 256 * 1024 * 1024

# What a fallback helps against: the provider, not the request.
_DOWN = (
    ProviderResting,
    ProviderUnavailable,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamQuotaSpent,
    UpstreamTimeout,
    UpstreamUnauthorized,
    UpstreamUnreachable,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller asks of a speaker. `speed` multiplies the speaker's own; `instructions` replace its own. `source`,
    `user_id`, `stop` and `made_for` are for whoever watches the queue: see Ticket. `pronounced`: the pronunciation
    dictionary has been applied to the text already. `started` is called when a provider is about to be asked."""

    text: str
    format: AudioFormat = AudioFormat.MP3
    speed: float = 1.0
    instructions: str = ""
    stream: bool = False
    pronounced: bool = False
    priority: Priority = Priority.INTERACTIVE
    source: str = ""
    user_id: int | None = None
    stop: Callable[[], object] | None = None
    started: Callable[[], object] | None = None
    made_for: str = ""
    rules: QueueRules = field(default_factory=QueueRules)


def estimate_tokens(*texts: str) -> int:
    """A rough count for budgets: four ASCII characters, or 1.6 others, make a token."""
    ascii_characters = sum(len(text.encode("ascii", "ignore")) for text in texts)
    others = sum(map(len, texts)) - ascii_characters
    return round(ascii_characters / 4 + others / 1.6)


def require_instructions(speaker: Speaker, capabilities: Capabilities) -> None:
    """UnsupportedOption where the voice can't follow any."""
    if not capabilities.instructions:
        raise UnsupportedOption(
            f"Voice “{speaker.name}” can't follow instructions: leave them out or choose another voice.",
            param="instructions",
        )


async def speak(speaker: Speaker, wish: Wish, engine: Engine) -> Speech:
    """Begin to speak, with the speaker's fallback where its provider is down. Raises SpeechError; once it returns,
    failures come out of the iteration."""
    wish = await pronounced(speaker, wish, engine)
    if not speakable(wish.text):
        raise NothingToSay("The input holds no words to speak.", param="input")
    try:
        return await _begin(speaker, wish, engine)
    except _DOWN as error:
        if speaker.fallback is None:
            raise
        try:
            speech = await _begin(speaker.fallback, wish, engine)
        except SpeechError:
            raise error from None
        logger.info("“%s” speaks in place of “%s”: %s", speaker.fallback.name, speaker.name, error.code)
        speech.fallback_for = speaker
        return speech


async def pronounced(speaker: Speaker, wish: Wish, engine: Engine) -> Wish:
    """With the text as it is to be spoken. A fallback speaks by the rules of whom it stands in for."""
    rules = speaker.rules
    if wish.pronounced or not rules:
        return wish
    if rules.has_patterns or len(wish.text) > LONG_TEXT:
        text = await engine.in_thread(rules.apply, wish.text, speaker.language)
    else:
        text = rules.apply(wish.text, speaker.language)
    return replace(wish, text=text, pronounced=True)


async def _begin(speaker: Speaker, wish: Wish, engine: Engine) -> Speech:
    production = _Production(speaker, wish, engine.adapter(speaker.provider), engine)
    await production.prepare()
    return await production.begin()


class _Production:
    """One wish on its way through the provider, piece by piece."""

    def __init__(self, speaker: Speaker, wish: Wish, adapter: Adapter, engine: Engine) -> None:
        self.speaker = speaker
        self.wish = wish
        self.adapter = adapter
        self.engine = engine
        self.capabilities = adapter.capabilities
        self.pieces: list[str] = []
        # What the pieces that nobody asked the provider for yet will cost; the day's budget is charged with all of it
        # at the start.
        self.unspoken: list[Cost] = []
        self.charged = False
        self.reference: Reference | None = None
        self.instructions = wish.instructions or speaker.instruction
        self._check()
        speed = min(max(wish.speed * speaker.speed, SPEED_MIN), SPEED_MAX)
        low, high = self.capabilities.speed or (1.0, 1.0)
        self.upstream_speed = min(max(speed, low), high)
        self.stretch = speed / self.upstream_speed
        self.speech = Speech(speaker, wish.format)
        self.asked = time.monotonic()
        self.speaking = 0.0

    def _check(self) -> None:
        if self.speaker.task_mode not in self.capabilities.task_modes:
            raise ProviderUnavailable(
                f"Provider “{self.speaker.provider.name}” can't do what voice “{self.speaker.name}” needs"
                f" ({self.speaker.task_mode})."
            )
        if self.wish.instructions:
            require_instructions(self.speaker, self.capabilities)

    async def prepare(self) -> None:
        limit = self.speaker.provider.piece_characters or self.capabilities.piece_characters
        text, language = self.wish.text, self.speaker.language
        if len(text) <= limit:
            self.pieces = [text.strip()]
        else:
            self.pieces = await self.engine.in_thread(split_into_pieces, text, limit, language)
        self.unspoken = [self._cost(piece) for piece in self.pieces]
        if self.speaker.reference:
            self.reference = await self.engine.in_thread(_read_reference, self.speaker.reference)

    async def begin(self) -> Speech:
        await self.speech.begin(self._produce())
        return self.speech

    @property
    def upstream_format(self) -> AudioFormat:
        """The wanted format where nothing has to be changed, else what loses nothing."""
        formats = self.capabilities.formats
        if self.wish.format in formats and self.stretch == 1.0 and len(self.pieces) == 1:
            return self.wish.format
        lossless = (AudioFormat.WAV, AudioFormat.PCM, AudioFormat.FLAC)
        return next((format for format in lossless if format in formats), min(formats))

    async def _spoken(self, held: AsyncExitStack, piece: str, rules: QueueRules | None = None) -> SpeechAudio:
        """As `_attempt`, tried again where that can help, as long as nothing was heard; `held` until all is."""
        for tried, wait in enumerate(RETRY_SECONDS):
            try:
                return await held.enter_async_context(self._attempt(piece, rules, first_try=not tried))
            except ProviderError as error:
                if not self._worth_another_try(error, wait):
                    raise
            await asyncio.sleep(wait * random.uniform(1, 2))
        return await held.enter_async_context(self._attempt(piece, rules, first_try=False))

    def _worth_another_try(self, error: ProviderError, wait: float) -> bool:
        """Not after a time-out: the provider may still be busy with the first try, and the caller has waited enough."""
        deadline = self.wish.rules.deadline
        late = deadline is not None and time.monotonic() - self.asked + 2 * wait > deadline
        return not (error.permanent or late or isinstance(error, UpstreamTimeout))

    @asynccontextmanager
    async def _attempt(self, piece: str, rules: QueueRules | None, *, first_try: bool) -> AsyncIterator[SpeechAudio]:
        """The audio of one call, whose first bytes have come."""
        wish, cost = self.wish, self._cost(piece)
        place = self.engine.queue.slot(
            self.speaker.provider,
            cost,
            priority=wish.priority,
            source=wish.source,
            user_id=wish.user_id,
            stop=wish.stop,
            made_for=wish.made_for,
            rules=rules or wish.rules,
            day=self._day_share(cost, first_try),
        )
        async with WatchedPlace(place, self.speaker.provider, wish.priority) as ticket:
            self._spend(first_try)
            if wish.started is not None:
                wish.started()
            self.speech.queue_seconds += ticket.waited
            started = time.monotonic()
            with upstream_call(self.speaker.provider, cost) as call:
                async with self.adapter.speak(self._request(piece)) as audio:
                    audio.chunks = Rejoined(await anext(audio.chunks, b""), audio.chunks)
                    call.begun()
                    yield audio
            self.speaking += time.monotonic() - started
            self.speech.inference_seconds = self.speaking

    def _cost(self, piece: str) -> Cost:
        tokens = estimate_tokens(piece, self.instructions, self.speaker.prompt_text)
        return Cost(tokens=tokens, characters=len(piece))

    def _day_share(self, cost: Cost, first_try: bool) -> Cost:
        """All pieces at the first call, then nothing, but for what is tried again."""
        if not self.charged:
            return sum(self.unspoken, NOTHING)
        return NOTHING if first_try else cost

    def _spend(self, first_try: bool) -> None:
        if first_try:
            self.unspoken.pop(0)
        self.charged = True

    def _give_back(self) -> None:
        if self.charged and self.unspoken:
            self.engine.queue.give_back(self.speaker.provider, sum(self.unspoken, NOTHING))

    def _request(self, piece: str) -> SpeechRequest:
        speaker = self.speaker
        return SpeechRequest(
            text=piece,
            task_mode=speaker.task_mode,
            model=speaker.model,
            voice=speaker.voice,
            instructions=self.instructions if self.capabilities.instructions else "",
            language=speaker.language,
            speed=self.upstream_speed,
            format=self.upstream_format,
            reference=self.reference,
            prompt_text=speaker.prompt_text,
            prompt_language=speaker.prompt_language,
            options=speaker.options,
        )

    async def _produce(self) -> AsyncGenerator[bytes]:
        first, *rest = self.pieces
        try:
            async with AsyncExitStack() as held:
                audio = await self._spoken(held, first)
                self.speech.upstream = UpstreamReport.read(audio.headers)
                whole = not (rest or self.wish.stream or audio.streaming)
                if whole:
                    file = await self._collect(audio)
                elif self._passes_through(audio):
                    self._adopt_figures()
                    async for chunk in audio.chunks:
                        yield chunk
                    return
                else:
                    transcoder = Transcoder(self.wish.format, speed=self.stretch)
                    async for chunk in self._convert(transcoder, audio):
                        yield chunk
            if whole:
                yield await self._finish(file, audio)
                return
            for piece in rest:
                await self.speech.caught_up()
                async with AsyncExitStack() as held:
                    audio = await self._spoken(held, piece, CONTINUED)
                    async for chunk in self._convert(transcoder, audio):
                        yield chunk
            if tail := await self.engine.in_thread(transcoder.finish):
                yield tail
            self.speech.audio_seconds = transcoder.seconds
        finally:
            self._give_back()

    def _passes_through(self, audio: SpeechAudio) -> bool:
        """Whether the provider's bytes are the answer as they are."""
        wrong_rate = audio.format is AudioFormat.PCM and audio.sample_rate != PCM_SAMPLE_RATE
        same = audio.format is self.wish.format and self.stretch == 1.0 and len(self.pieces) == 1
        return same and not wrong_rate

    async def _collect(self, audio: SpeechAudio) -> bytes:
        file = bytearray()
        async for chunk in audio.chunks:
            file += chunk
            if len(file) > MAX_WHOLE_BYTES:
                raise BadAudio(f"Provider “{self.speaker.provider.name}” sent more audio than one answer can hold.")
        if not file:
            raise BadAudio(f"Provider “{self.speaker.provider.name}” sent no audio.")
        return bytes(file)

    async def _finish(self, file: bytes, audio: SpeechAudio) -> bytes:
        """The whole answer, converted where needed, with true sizes in its header."""
        speech = self.speech
        if self._passes_through(audio) and (audio.format is not AudioFormat.WAV or wav_sizes_are_true(file)):
            speech.length = len(file)
            speech.sample_rate, speech.audio_seconds = stated(file, audio.format)
            self._adopt_figures()
            return file
        convert = partial(transcoded, file, audio.format, audio.sample_rate, self.wish.format, speed=self.stretch)
        with transcoding(self.wish.format) as codec:
            file, speech.sample_rate, speech.audio_seconds = await codec.timed(self.engine.in_thread(convert))
        speech.length = len(file)
        return file

    def _adopt_figures(self) -> None:
        """What the backend says of bytes that are passed on as they are, where we don't know it."""
        speech, said = self.speech, self.speech.upstream
        speech.sample_rate = speech.sample_rate or said.sample_rate
        speech.audio_seconds = speech.audio_seconds or said.audio_seconds
        speech.inference_seconds = speech.inference_seconds or said.inference_seconds

    async def _convert(self, transcoder: Transcoder, audio: SpeechAudio) -> AsyncIterator[bytes]:
        transcoder.start_file(audio.format, audio.sample_rate)
        with transcoding(self.wish.format) as codec:
            async for chunk in audio.chunks:
                if converted := await codec.timed(self.engine.in_thread(transcoder.feed, chunk)):
                    yield converted
            if converted := await codec.timed(self.engine.in_thread(transcoder.end_file)):
                yield converted


def _read_reference(name: str) -> Reference:
    try:
        with private_storage().open(name, "rb") as file:
            return Reference(file.read())
    except FileNotFoundError as error:
        raise ProviderUnavailable("The reference audio of this voice is missing: upload it again.") from error
    except OSError as error:
        raise translated(error) from error
