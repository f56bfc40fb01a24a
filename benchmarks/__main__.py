"""Runs the measurements one after the other and prints their tables."""

from __future__ import annotations

import argparse
import os
import platform
import pstats
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from benchmarks import (
    measure_batch,
    measure_cache,
    measure_dub,
    measure_embedded,
    measure_export,
    measure_fairness,
    measure_first_byte,
    measure_memory,
    measure_pages,
    measure_queue,
    measure_scale,
    measure_servers,
    measure_soak,
    measure_speech,
    measure_tickets,
)
from benchmarks.contenders import contenders
from benchmarks.figures import Table, Tables
from benchmarks.processes import BenchmarkError
from benchmarks.stage import Settings, Stage, stage

PROFILED_FUNCTIONS = 40
# What ends this process also ends those that it started; Windows has no SIGHUP.
ENDING_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
QUICK = Settings(
    rounds=2,
    requests=200,
    concurrencies=(1, 16),
    held=(100,),
    waiting=(100,),
    idle_seconds=2.0,
    tickets=(100, 1000),
    answers=500,
    export_hours=0.5,
    dub_hours=0.1,
    lines=500,
    minutes=3,
)


def speech(stage: Stage) -> Table:
    return measure_speech.table(measure_speech.measure(stage), stage.audio_bytes)


def cache(stage: Stage) -> Table:
    return measure_cache.table(measure_cache.measure(stage), stage.audio_bytes)


def first_byte(stage: Stage) -> Table:
    return measure_first_byte.table(measure_first_byte.measure(stage))


def embedded(stage: Stage) -> Table:
    return measure_embedded.table(measure_embedded.measure(stage))


def pages(stage: Stage) -> Table:
    return measure_pages.table(measure_pages.measure(stage))


def batch(stage: Stage) -> Table:
    return measure_batch.table(measure_batch.measure(stage))


def memory(stage: Stage) -> Table:
    return measure_memory.table(measure_memory.measure(stage))


def queue(stage: Stage) -> Table:
    return measure_queue.table(measure_queue.measure(stage))


def tickets(stage: Stage) -> Table:
    return measure_tickets.table(measure_tickets.measure(stage))


def fairness(stage: Stage) -> Table:
    return measure_fairness.table(measure_fairness.measure(stage))


def export(stage: Stage) -> Table:
    return measure_export.table(measure_export.measure(stage))


def dub(stage: Stage) -> Table:
    return measure_dub.table(measure_dub.measure(stage))


def servers(stage: Stage) -> Tables:
    return measure_servers.tables(measure_servers.measure(stage, contenders(stage)))


def scale(stage: Stage) -> Table:
    return measure_scale.table(measure_scale.measure(stage))


def soak(stage: Stage) -> Tables:
    return measure_soak.tables(measure_soak.measure(stage))


MEASUREMENTS: dict[str, Callable[[Stage], Table | Tables]] = {
    "speech": speech,
    "cache": cache,
    "first-byte": first_byte,
    "embedded": embedded,
    "memory": memory,
    "pages": pages,
    "batch": batch,
    "queue": queue,
    "tickets": tickets,
    "fairness": fairness,
    "export": export,
    "dub": dub,
    "servers": servers,
    "scale": scale,
    "soak": soak,
}
# It takes half an hour.
ASKED_FOR = ("soak",)
# Those that start one Neiroha server.
PROFILED = ("speech", "first-byte", "embedded")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    for name in ENDING_SIGNALS:
        signal.signal(name, _interrupt)
    try:
        if options.profile:
            _profile(options.profile, _settings(options))
        else:
            _measure(options.only or [name for name in MEASUREMENTS if name not in ASKED_FOR], _settings(options))
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(f"The run is not complete: ended by {interrupt}.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=_positive, help=f"Rounds of each figure; {Settings().rounds} unless told.")
    parser.add_argument(
        "--requests", type=_positive, help=f"Requests of a server in a round; {Settings().requests} unless told."
    )
    parser.add_argument("--minutes", type=_positive, help=f"Of `--only soak`; {Settings().minutes:g} unless told.")
    parser.add_argument("--only", choices=MEASUREMENTS, action="append", help="This measurement; may be repeated.")
    parser.add_argument("--quick", action="store_true", help="Small numbers: does it work, and roughly how fast?")
    parser.add_argument(
        "--profile",
        choices=PROFILED,
        help=f"One round of this measurement with the server under cProfile, and its {PROFILED_FUNCTIONS} costliest"
        " functions. The profiler's own cost is in every figure.",
    )
    return parser


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0.")
    return int(text)


def _settings(options: argparse.Namespace) -> Settings:
    chosen = {
        name: value for name in ("rounds", "requests", "minutes") if (value := getattr(options, name)) is not None
    }
    return replace(QUICK if options.quick else Settings(), **chosen)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _measure(names: Sequence[str], settings: Settings) -> None:
    print(_machine(), flush=True)
    with stage(settings) as made:
        for name in names:
            print(f"\n{MEASUREMENTS[name](made).shown()}", flush=True)
    print(f"\nLoad average afterwards: {_load_average()}.")


def _machine() -> str:
    processors, memory = os.cpu_count(), psutil.virtual_memory().total / 2**30
    return (
        f"{platform.system()} {platform.machine()}, {processors} processors, {memory:.0f} GiB,"
        f" {platform.python_implementation()} {platform.python_version()}; load average before: {_load_average()}.\n"
        "Figures are medians of the rounds, with the lowest and the highest in brackets."
    )


def _load_average() -> str:
    return " ".join(f"{value:.1f}" for value in psutil.getloadavg())


def _profile(name: str, settings: Settings) -> None:
    with tempfile.TemporaryDirectory(prefix="neiroha-profile-") as folder, stage(replace(settings, rounds=1)) as made:
        made.profile = Path(folder) / "server.prof"
        print(MEASUREMENTS[name](made).shown(), flush=True)
        pstats.Stats(str(made.profile)).strip_dirs().sort_stats("tottime").print_stats(PROFILED_FUNCTIONS)


if __name__ == "__main__":
    sys.exit(main())
