"""espeak-ng on Linux and other Unixes: its program, or the library that the optional package espeakng-loader brings."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib import import_module, util
from pathlib import Path

from providers.adapters.system.engine import Engine, run_program
from providers.errors import UpstreamFailed
from providers.speech import Voice

WORDS_PER_MINUTE = 175
_CHILD = Path(__file__).with_name("espeak_child.py")
# Priority, language, age/gender, name, file; names hold no blanks.
_VOICE_LINE = re.compile(r"^\s*\d+\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)")
_GENDERS = {"M": "male", "F": "female"}


def espeak_engine() -> Engine:
    """The program where it is installed, else the package's library."""
    if not shutil.which("espeak-ng") and util.find_spec("espeakng_loader"):
        loader = import_module("espeakng_loader")
        with suppress(RuntimeError):  # a broken installation: its data is missing
            return EspeakLibrary(loader.get_library_path(), loader.get_data_path())
    return EspeakProgram()


class EspeakProgram:
    def __init__(self, search_path: str | None = None) -> None:
        self._program = shutil.which("espeak-ng", path=search_path) or ""

    def unavailable(self) -> str:
        return "" if self._program else "No speech engine: install espeak-ng, or Neiroha with its extra “espeak”."

    async def voices(self, timeout: float) -> list[Voice]:
        listed = await run_program([self._program, "--voices"], timeout=timeout)
        return parse_voices(listed.decode("utf-8", "replace"))

    async def speak(self, text: str, voice: str, rate: float, timeout: float) -> bytes:
        return await run_program([self._program, *speak_arguments(voice, rate)], stdin=text.encode(), timeout=timeout)


class EspeakLibrary:
    """The library in a process of its own: its state is global, and a crash in it must not be ours."""

    def __init__(self, library: str, data: str) -> None:
        self._command = [sys.executable, "-I", str(_CHILD), library, data]

    def unavailable(self) -> str:
        return ""

    async def voices(self, timeout: float) -> list[Voice]:
        listed = await run_program([*self._command, "voices"], timeout=timeout)
        try:
            return make_voices(json.loads(listed))
        except (ValueError, TypeError) as error:
            raise UpstreamFailed("The system's speech engine listed its voices in an unknown way.") from error

    async def speak(self, text: str, voice: str, rate: float, timeout: float) -> bytes:
        words_per_minute = str(round(WORDS_PER_MINUTE * rate))
        return await run_program(
            [*self._command, "speak", voice, words_per_minute], stdin=text.encode(), timeout=timeout
        )


def speak_arguments(voice: str, rate: float) -> list[str]:
    """UTF-8 text from stdin, WAV to stdout. Never -m: SSML would open files and run programs."""
    return ["--stdin", "--stdout", "-b", "1", "-s", str(round(WORDS_PER_MINUTE * rate)), "-v", voice]


def parse_voices(listed: str) -> list[Voice]:
    """The table of `--voices`."""
    return make_voices(match.groups() for line in listed.splitlines() if (match := _VOICE_LINE.match(line)))


def make_voices(rows: Iterable[Sequence[str]]) -> list[Voice]:
    """Language, age/gender, name and file of each. The id is the file, the one column that -v always takes.

    MBROLA voices are left out, since they are listed even where they are not installed, and so are variants.
    """
    return [
        Voice(file, name.replace("_", " ").strip(), language, _GENDERS.get(age_gender.rpartition("/")[2], ""))
        for language, age_gender, name, file in rows
        if not file.startswith(("mb/", "!v/"))
    ]
