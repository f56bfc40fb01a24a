"""Speech that was made once is not bought again: banks that keep it, and requests that share one call.

The key of an answer is a digest of all that shapes its sound. Requests for the same answer at the same time share a
`Flight`: one look into the store and, if it is not there, one call. A flight that has begun to cost something goes on
when its last listener leaves, so that a client that comes back finds what it has paid for. Of several processes that
are asked for the same the others wait for what the first one keeps.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from math import inf

from django.conf import settings
from django.db import DatabaseError
from django.db.models import F

from banks.delivery import Speech, UpstreamReport
from banks.models import Bank, CacheUse, Membership
from banks.roster import Speaker
from banks.speak import MAX_WHOLE_BYTES, Wish, pronounced, speak
from banks.speech_store import Kept, SpeechStore, speaker_folder
from providers import metrics, versions
from providers.database import in_database
from providers.engine import Engine
from providers.errors import BadAudio, QueueCancelled
from providers.speech import AudioFormat

logger = logging.getLogger(__name__)

# A longer text is rarely asked for twice, and its sound would have to be held in memory until it is complete.
MOST_CHARACTERS = 5_000
# Calls that go on without a listener: how many, and for how long.
MOST_ORPHANS = 16
ORPHAN_SECONDS = 120.0
# Another process that makes the same answer is waited for: no longer than for a place in the queue, nor than this; by
# somebody who would have its first sound at once, for a moment only.
PATIENCE_SECONDS = 120.0
STREAM_PATIENCE_SECONDS = 2.0
# What is sent at once where an answer is sent in pieces.
PIECE_BYTES = 32 * 1024
WORK_SECONDS = 1.0
_THREADS = 4
# Their header states sizes, which are true only where the whole was known before.
_SIZED = (AudioFormat.WAV, AudioFormat.FLAC)


def entry_name(speaker: Speaker, wish: Wish) -> str:
    """Where the answer is kept: the same for the same sound only. The text has been through the dictionary."""
    provider = speaker.provider
    shape = [
        (provider.id, provider.kind, provider.base_url, provider.piece_characters, dict(provider.options)),
        (speaker.task_mode, speaker.model, speaker.voice, speaker.language, dict(speaker.options)),
        # A recording that is changed gets another name.
        (speaker.reference, speaker.prompt_text, speaker.prompt_language),
        (wish.instructions or speaker.instruction, wish.speed, speaker.speed),
        (wish.format, wish.stream and wish.format in _SIZED),
        wish.text,
    ]
    digest = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()
    return f"{speaker_folder(speaker.cache_bank, speaker.id)}/{digest}"


class SpeechCache:
    """Belongs to one event loop, beside its engine."""

    def __init__(self, engine: Engine, store: SpeechStore | None = None) -> None:
        self.engine = engine
        self.store = store or SpeechStore()
        self._identity = ""
        self._turns = None
        if settings.REDIS_URL:
            from banks.speech_turns import SpeechTurns

            self._turns = SpeechTurns(settings.REDIS_URL)
        self.most_bytes: int | None = None
        """Known from the first request on."""
        self.flights: dict[tuple[str, bool], Flight] = {}
        self._uses: Counter[tuple[int, bool]] = Counter()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="speech-cache")
        self._size: int | None = None
        self._version = 0

    async def speak(self, speaker: Speaker, wish: Wish, most_bytes: int) -> Speech:
        """As `banks.speak.speak`, from what is kept where the bank keeps speech."""
        self.most_bytes = most_bytes
        if not speaker.cache_bank or not most_bytes:
            return await speak(speaker, wish, self.engine)
        wish = await pronounced(speaker, wish, self.engine)
        if len(wish.text) > MOST_CHARACTERS:
            return await speak(speaker, wish, self.engine)
        place = (entry_name(speaker, wish), wish.stream)
        flight = self.flights.get(place)
        if leads := flight is None:
            flight = self.flights[place] = Flight(self, place, speaker, wish)
        speech = await flight.join(speaker, leads=leads)
        self._uses[speaker.cache_bank, speech.cache != "miss"] += 1
        metrics.counter(metrics.cache_requests, speech.cache).inc()
        return speech

    async def in_thread[**P, R](self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*args, **kwargs))

    async def read(self, name: str) -> Kept | None:
        return await self.in_thread(self.store.read, name)

    @asynccontextmanager
    async def turn(self, place: tuple[str, bool], wish: Wish) -> AsyncGenerator[bool]:
        """Around making it; whether another process may have made it meanwhile."""
        if self._turns is None or not (store := await self._store_of_all()):
            yield False
            return
        name, stream = place
        patience = STREAM_PATIENCE_SECONDS if stream else min(wish.rules.deadline or inf, PATIENCE_SECONDS)
        async with self._turns.turn(f"{store}/{name}:{stream:d}", patience) as waited:
            yield waited

    async def _store_of_all(self) -> str:
        """Who does not share the store has nothing to wait for."""
        if not self._identity:
            try:
                self._identity = await self.in_thread(self.store.identity)
            except OSError as error:
                logger.warning("It is not known who else keeps speech in %s: %s", self.store.folder, error)
        return self._identity

    async def keep(self, name: str, kept: Kept) -> None:
        """Where there is no room the answer is still good, and is made anew next time."""
        try:
            size = await self.in_thread(self.store.write, name, kept)
            if self._size is not None:
                self._size += size
                metrics.cache_bytes.set(self._size)
            if self._size is None or self._size > (self.most_bytes or 0):
                await self._trim()
        except OSError as error:
            logger.warning("Speech was not kept: %s", error)

    async def _trim(self) -> None:
        """Counts anew what there is, too: other processes write as well."""
        if self.most_bytes is not None:
            self._size = await self.in_thread(self.store.trim, self.most_bytes)
            metrics.cache_bytes.set(self._size)

    def may_be_orphan(self) -> bool:
        return sum(not flight.listeners for flight in self.flights.values()) <= MOST_ORPHANS

    async def run(self) -> None:
        """Count uses, and remove what no bank keeps any more, until cancelled."""
        while True:
            try:
                await self.flush()
                await self._sweep()
            except (DatabaseError, OSError):
                logger.exception("The kept speech could not be looked after; it is tried again.")
            await asyncio.sleep(WORK_SECONDS)

    async def flush(self) -> None:
        if self._uses:
            uses, self._uses = self._uses, Counter()
            try:
                await in_database(_count, uses)
            except DatabaseError:
                self._uses.update(uses)
                raise

    async def _sweep(self) -> None:
        version = versions.current_version()
        if version != self._version:
            kept = await in_database(_keeping_speakers)
            await self.in_thread(self.store.keep_only, kept)
            self._version = version
            await self._trim()

    async def rest(self) -> None:
        """End the calls under way and write what was counted."""
        flights = [flight.task for flight in self.flights.values()]
        for task in flights:
            task.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        await self.flush()

    async def close(self) -> None:
        await self.rest()
        if self._turns:
            await self._turns.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


class Flight:
    """One answer on its way to all who asked for it."""

    def __init__(self, cache: SpeechCache, place: tuple[str, bool], speaker: Speaker, wish: Wish) -> None:
        self.listeners = 0
        self._cache = cache
        self._place = place
        self._speaker = speaker
        self._wish = replace(wish, stop=self.stop, started=self._note_start)
        self._chunks: list[bytes] = []
        self._known = Speech(speaker, wish.format)
        self._hit = self._started = self._done = False
        self._error: Exception | None = None
        self._news = asyncio.Event()
        self._end_of_patience: asyncio.TimerHandle | None = None
        # Begun at once, so that it comes to its end whatever happens next.
        self.task = asyncio.Task(self._run(), loop=asyncio.get_running_loop(), eager_start=True)

    async def join(self, speaker: Speaker, *, leads: bool) -> Speech:
        speech = Speech(speaker, self._wish.format)
        await speech.begin(self._heard_by(speech))
        speech.cache = "hit" if self._hit else "miss" if leads else "shared"
        return speech

    def stop(self) -> None:
        """Somebody who watches the queue ended it: for all who listen."""
        self._error = self._error or QueueCancelled("This request was cancelled by somebody who watches the queue.")
        self.task.cancel()

    async def _heard_by(self, speech: Speech) -> AsyncGenerator[bytes]:
        self.listeners += 1
        if self._end_of_patience is not None:
            self._end_of_patience.cancel()
        try:
            place = 0
            while place < len(self._chunks) or not self._done:
                if place == len(self._chunks):
                    await self._news.wait()
                    continue
                speech.adopt(self._known)
                place += 1
                yield self._chunks[place - 1]
            speech.adopt(self._known)
            if self._error is not None:
                raise self._error
        finally:
            self.listeners -= 1
            if not self.listeners and not self._done:
                self._lose_the_last_listener()

    def _lose_the_last_listener(self) -> None:
        if self._started and self._cache.may_be_orphan():
            loop = asyncio.get_running_loop()
            self._end_of_patience = loop.call_later(ORPHAN_SECONDS, self.task.cancel)
        else:
            self._leave()
            self.task.cancel()

    def _note_start(self) -> None:
        self._started = True

    async def _run(self) -> None:
        try:
            if (kept := await self._cache.read(self._place[0])) is not None:
                self._take(kept)
            else:
                await self._make()
        except asyncio.CancelledError:
            self._error = self._error or QueueCancelled("The server ended this request.")
            raise
        except Exception as error:
            self._error = error
        finally:
            self._finish()
            self._leave()

    def _take(self, kept: Kept) -> None:
        self._hit = True
        known, whole = self._known, kept.whole or self._wish.format not in _SIZED
        known.sample_rate, known.audio_seconds = kept.sample_rate, kept.audio_seconds
        known.upstream = UpstreamReport(model_preset=kept.model_preset)
        if whole and not self._wish.stream:
            known.length = len(kept.audio)
            self._chunks = [kept.audio]
        else:
            self._chunks = [kept.audio[at : at + PIECE_BYTES] for at in range(0, len(kept.audio), PIECE_BYTES)]

    async def _make(self) -> None:
        async with self._cache.turn(self._place, self._wish) as made_elsewhere:
            try:
                kept = await self._cache.read(self._place[0]) if made_elsewhere else None
                if kept is not None:
                    self._take(kept)
                    self._finish()
                else:
                    await self._speak()
            except Exception as error:
                self._error = error
                # Told before the turn is given back, which takes a while where Redis does not answer.
                self._finish()
                raise

    async def _speak(self) -> None:
        self._known = speech = await speak(self._speaker, self._wish, self._cache.engine)
        size = 0
        async with aclosing(speech):
            async for chunk in speech:
                size += len(chunk)
                if size > MAX_WHOLE_BYTES:
                    raise BadAudio(
                        f"Provider “{speech.speaker.provider.name}” sent more audio than an answer can hold."
                    )
                self._chunks.append(chunk)
                self._tell()
        self._finish()
        if speech.fallback_for is None:
            await self._cache.keep(self._place[0], self._kept(speech))

    def _kept(self, speech: Speech) -> Kept:
        return Kept(
            b"".join(self._chunks),
            whole=speech.length is not None,
            sample_rate=speech.sample_rate,
            audio_seconds=speech.audio_seconds,
            model_preset=speech.upstream.model_preset,
        )

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _finish(self) -> None:
        self._done = True
        if self._end_of_patience is not None:
            self._end_of_patience.cancel()
        self._tell()

    def _leave(self) -> None:
        """Whoever asks from now on asks anew."""
        if self._cache.flights.get(self._place) is self:
            del self._cache.flights[self._place]


def _count(uses: Counter[tuple[int, bool]]) -> None:
    present = set(Bank.objects.filter(pk__in={bank for bank, _hit in uses}).values_list("pk", flat=True))
    for (bank, hit), number in uses.items():
        if bank in present:
            column = "hits" if hit else "misses"
            CacheUse.objects.get_or_create(bank_id=bank)
            CacheUse.objects.filter(bank_id=bank).update(**{column: F(column) + number})


def _keeping_speakers() -> frozenset[str]:
    members = Membership.objects.filter(
        bank__archived_at=None, bank__cache_speech=True, character__archived_at=None
    ).values_list("bank_id", "public_id")
    return frozenset(speaker_folder(bank, speaker) for bank, speaker in members)
