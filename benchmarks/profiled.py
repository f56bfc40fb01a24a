"""`python -m benchmarks.profiled FILE`: `manage.py serve` under cProfile from the moment it is ready until it ends."""

from __future__ import annotations

import cProfile
import io
import sys

from django.core.management import call_command

from benchmarks.configure import set_up_django


class _Announcement(io.StringIO):
    """What the server says; its first words, on the thread of its loop, start the profiler."""

    def __init__(self, profiler: cProfile.Profile) -> None:
        super().__init__()
        self._profiler = profiler

    def write(self, text: str) -> int:
        print(text, end="", flush=True)
        self._profiler.enable()
        return len(text)


def main(file: str) -> None:
    set_up_django()
    profiler = cProfile.Profile()
    try:
        call_command("serve", port=0, stdout=_Announcement(profiler))
    finally:
        profiler.disable()
        profiler.dump_stats(file)


if __name__ == "__main__":
    main(sys.argv[1])
