"""What the strict servers that answer with JSON and server-sent events share."""

from __future__ import annotations

import json

from providers.audio import wav_header
from tests.upstreams.common import CutOff, Send, Upstream, spoken_samples

EVENT_STREAM = "text/event-stream"


class EventsUpstream(Upstream):
    """Answers in events that obey `gated` and `cut_after`; every event counts as a chunk."""

    async def send_events(self, send: Send, events: list[bytes], content_type: str = EVENT_STREAM) -> None:
        headers = [(b"content-type", content_type.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number, event in enumerate(events):
            if number == self.switches.cut_after:
                raise CutOff
            if self.switches.gated:
                await self._turn()
            # Before it is sent: whoever reads it may look here before this task goes on.
            self._note(chunks_sent=self.chunks_sent + 1)
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body"})


def data_event(payload: object, end: str = "\n\n") -> bytes:
    return f"data: {json.dumps(payload)}{end}".encode()


def true_wav(text: str) -> bytes:
    """A WAV file of the spoken text with true sizes."""
    pcm = spoken_samples(text, 1.0)
    return wav_header(24_000, len(pcm)) + pcm


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]
