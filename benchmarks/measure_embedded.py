"""The embedded voice: time to the first byte and real-time factor, from outside, as mp3."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx

from benchmarks.figures import Spread, Table
from benchmarks.load import Plan, run
from benchmarks.processes import Memory, Server
from benchmarks.stage import SENTENCE, Stage
from providers.audio import probe

BANK, VOICE = "Neiroha", "Heart"
LONG_CHARACTERS = 2000
WAIT_SECONDS = 120


def _long_text() -> str:
    sentences = f"{SENTENCE} " * (LONG_CHARACTERS // len(SENTENCE) + 1)
    return sentences[: LONG_CHARACTERS - 1].rstrip(" ,.") + "."


TEXTS: dict[str, str] = {"one sentence": SENTENCE, "long text": _long_text()}


@dataclass(slots=True)
class Spoken:
    """One text, spoken several times one after the other. Seconds; `audio` is how long the speech lasts."""

    name: str
    characters: int
    audio: float
    first_byte: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)

    @property
    def real_time_factor(self) -> Spread:
        return Spread.of(seconds / self.audio for seconds in self.whole)

    def row(self) -> list[str]:
        return [
            f"{self.name} ({self.characters} characters)",
            Spread.of(seconds * 1000 for seconds in self.first_byte).shown(0),
            Spread.of(seconds * 1000 for seconds in self.whole).shown(0),
            f"{self.audio:.1f}",
            self.real_time_factor.shown(3),
        ]


@dataclass(frozen=True, slots=True)
class Embedded:
    """`cold` is the very first request of a server, which loads the voice, in seconds."""

    texts: list[Spoken]
    cold: float
    memory: Memory


def measure(stage: Stage) -> Embedded:
    with stage.neiroha() as server:
        cold = _cold(stage, server)
        texts = [_first(stage, server, name, text) for name, text in TEXTS.items()]
        for _ in range(stage.settings.rounds):
            for spoken in texts:
                _repeat(stage, server, spoken)
        return Embedded(texts, cold, server.memory())


def table(embedded: Embedded) -> Table:
    memory = embedded.memory.resident / 1e6
    return Table(
        "Embedded voice, one request at a time, mp3",
        ["text", "first byte ms", "whole answer ms", "audio s", "real-time factor"],
        [spoken.row() for spoken in embedded.texts],
        note=f"The first request of a server, which loads the voice: {embedded.cold * 1000:.0f} ms."
        f" Resident memory afterwards: {memory:.0f} MB.",
    )


def _plan(stage: Stage, server: Server, text: str) -> Plan:
    return stage.plan(server, 1, 1, voice=VOICE, model=BANK, text=text)


def _cold(stage: Stage, server: Server) -> float:
    (answer,) = run(_plan(stage, server, SENTENCE))
    return answer.seconds


def _first(stage: Stage, server: Server, name: str, text: str) -> Spoken:
    plan = _plan(stage, server, text)
    authorization = {"Authorization": f"Bearer {plan.key}"}
    answer = httpx.post(plan.url, json=plan.body(0), headers=authorization, timeout=WAIT_SECONDS, trust_env=False)
    return Spoken(name, len(text), probe(answer.raise_for_status().content).duration)


def _repeat(stage: Stage, server: Server, spoken: Spoken) -> None:
    (answer,) = run(_plan(stage, server, TEXTS[spoken.name]))
    spoken.first_byte.append(answer.first_byte - answer.sent)
    spoken.whole.append(answer.seconds)
