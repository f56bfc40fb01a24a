"""Speaking one take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from banks.delivery import Speech
from banks.roster import Speaker
from banks.speak import Wish, speak
from providers import metrics
from providers.engine import Engine
from providers.errors import BadAudio
from providers.queue import Priority, QueueRules
from providers.speech import AudioFormat
from studio import files
from studio.models import Take
from studio.tickets import made_for

MAX_BYTES = 256 * 1024 * 1024
# Whoever waits in front of a page sees it and can cancel; a batch has all the time in the world.
PATIENT = QueueRules(max_waiting=1_000_000, deadline=None)
# A sentence that a listener waits for stays in the queue while its provider rests, like the batch that it is part of.
STEADY = replace(PATIENT, begun=True)


@dataclass(eq=False, slots=True)
class Job:
    """A take that is being spoken. `stopped` tells somebody's wish from the server's end."""

    take: Take
    provider_id: int | None
    stopped: bool = False
    begun: bool = False
    """Whether any sound of it came."""
    pausing: bool = False
    """Whether the queue, or the database, is waited for."""
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def batch(self) -> bool:
        return self.take.priority == Priority.BATCH

    def stop(self) -> None:
        self.stopped = True
        if self.task is not None:
            self.task.cancel()


async def heard(
    job: Job, speaker: Speaker, engine: Engine, started: Callable[[], object] | None = None
) -> tuple[Speech, bytes]:
    """All of a take's speech, in its carrier format. SpeechError; what `started` raises before a provider is asked."""
    take = job.take
    wish = Wish(
        text=take.spoken or take.text,
        pronounced=True,
        format=files.carrier(AudioFormat(take.format)),
        speed=take.made_with.speed,
        instructions=take.made_with.instruction,
        priority=Priority(take.priority),
        source=take.owner.get_username(),
        user_id=take.owner_id,
        stop=job.stop,
        made_for=made_for(take.pk, take.project_id),
        started=started,
        rules=PATIENT if take.project_id is None else STEADY,
    )
    spoken = bytearray()
    async with aclosing(await speak(speaker, wish, engine)) as speech:
        async for chunk in speech:
            job.begun = True
            spoken += chunk
            if len(spoken) > MAX_BYTES:
                raise BadAudio(f"The sound has more than {MAX_BYTES >> 20} MB: speak a shorter text.")
    return speech, bytes(spoken)


def count_sound(speech: Speech, seconds: float) -> None:
    """For what watches: sound that was kept as it came is as long as its file tells. What a bank keeps was counted."""
    if speech.audio_seconds is None and not speech.cache:
        metrics.note_speech(speech.speaker.provider.name, speech.inference_seconds, seconds)


def figures(speech: Speech) -> dict[str, Any]:
    """What a take's row says of how it was spoken."""
    inference = speech.inference_seconds
    return {
        "queue_ms": round(speech.queue_seconds * 1000),
        "inference_ms": None if inference is None else round(inference * 1000),
        "spoken_by": speech.speaker.name if speech.fallback_for else "",
    }
