"""Faults in the middle of two batches on two webs, two workers, PostgreSQL and Redis, again and again.

`python -m tests.chaos --topology`. Each row of what is printed is one fault: how long until the lines are done that
were spoken at that moment, how long a caller waited at most, and what callers were told before they got their speech.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import psutil

from tests.scale_process import running_scale
from tests.topology import FAULTS, WEBS, WORKERS, Place, Round, frozen, share_a_minute

FROZEN_SECONDS = 30.0
# Of the second provider; the first has no such limit, so that what a fault costs is seen there.
A_MINUTE = 400

type Freeze = Callable[[Place], list[psutil.Process]]

FREEZES: dict[str, Freeze] = {
    "a worker's child frozen": lambda place: [child for worker in WORKERS for child in place.speaking(worker)],
    "a web frozen": lambda place: [place.process(web) for web in WEBS],
}


def play(lines: int, times: int, minutes: float, dice: random.Random) -> bool:
    """Whether nothing was wrong."""
    with TemporaryDirectory(prefix="neiroha-chaos-") as folder, running_scale(Path(folder)) as scale:
        place = Place(scale)
        print(f"{'fault':<26}{'lines':>9}{'callers':>9}  told meanwhile", flush=True)
        found = [_round(place, name, lines, dice) for _ in range(times) for name in _names(dice)]
        wrong, callers = share_a_minute(place, 60 * minutes)
        print(f"{minutes:g} minutes on one provider: {callers} callers; {'; '.join(wrong) or 'nothing is wrong'}")
        return not any([*found, wrong])


def _names(dice: random.Random) -> list[str]:
    names = [*FAULTS, *FREEZES, "Redis frozen"]
    dice.shuffle(names)
    return names


def _round(place: Place, name: str, lines: int, dice: random.Random) -> list[str]:
    with place.round(lines, held=True, a_minute=A_MINUTE) as made:
        made.let_go()
        made.wait_for_calls(dice.uniform(0.1, 0.6))
        made.note_done()
        _strike(place, made, name, dice)
        made.finish()
        wrong = made.judge()
        told = ", ".join(f"{times} x {what}" for what, times in sorted(made.refused.items())) or "nothing"
        print(f"{name:<26}{made.recovered:>7.1f} s{made.longest:>7.1f} s  {told}", flush=True)
        for text in wrong:
            print(f"  WRONG: {text}", flush=True)
        return wrong


def _strike(place: Place, made: Round, name: str, dice: random.Random) -> None:
    if name in FREEZES:
        with frozen(made, FREEZES[name](place)):
            made.let_go()
            _recover_within(made, FROZEN_SECONDS)
        return
    broken, since = made.running(), monotonic()
    if name in FAULTS:
        FAULTS[name](place, dice)
    else:
        redis = place.process("Redis")
        redis.suspend()
        sleep(FROZEN_SECONDS)
        redis.resume()
    made.wait_until_recovered(broken, since)


def _recover_within(made: Round, seconds: float) -> None:
    """By what is not frozen."""
    broken, since = made.running(), monotonic()
    made.wait_until_recovered(broken, since)
    sleep(max(seconds - made.recovered, 0.0))
