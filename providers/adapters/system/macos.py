"""macOS: the program `say`."""

from __future__ import annotations

import re
import shutil

from providers.adapters.system.engine import read_result, run_program, work_folder
from providers.speech import Voice

WORDS_PER_MINUTE = 175
# Names hold blanks and brackets: `Eddy (English (US)) en_US    # Hello! My name is Eddy.`
_VOICE_LINE = re.compile(r"^(.+?)\s+([a-z]{2,3}[_-][A-Za-z0-9]+)\s+#\s?(.*)$")
# A service starts without a locale, in which `say` would read bytes in place of letters.
_LOCALE = {"LC_ALL": "en_US.UTF-8"}


class SayEngine:
    def __init__(self, search_path: str | None = None) -> None:
        self._program = shutil.which("say", path=search_path) or ""

    def unavailable(self) -> str:
        return "" if self._program else "No speech engine: the program “say” is missing from this Mac."

    async def voices(self, timeout: float) -> list[Voice]:
        listed = await run_program([self._program, "-v", "?"], timeout=timeout, environment=_LOCALE)
        return parse_voices(listed.decode("utf-8", "replace"))

    async def speak(self, text: str, voice: str, rate: float, timeout: float) -> bytes:
        """`say` seeks in what it writes, so it needs a file."""
        async with work_folder() as folder:
            output = folder / "speech.wav"
            command = [self._program, *speak_arguments(voice, rate, str(output))]
            await run_program(command, stdin=text.encode(), timeout=timeout, environment=_LOCALE)
            return await read_result(output)


def speak_arguments(voice: str, rate: float, output: str) -> list[str]:
    """UTF-8 text from stdin. Voices differ in pace, so a rate is given only where one is asked for."""
    pace = [] if rate == 1.0 else ["-r", str(round(WORDS_PER_MINUTE * rate))]
    return ["-v", voice, *pace, "-o", output, "--file-format=WAVE", "--data-format=LEI16@22050", "-f", "-"]


def parse_voices(listed: str) -> list[Voice]:
    """The lines of `say -v ?`. `say` knows a voice by its name only, so the first of a name is the one it takes."""
    voices: dict[str, Voice] = {}
    for line in listed.splitlines():
        if match := _VOICE_LINE.match(line):
            name, locale, sample = match.groups()
            voices.setdefault(name, Voice(name, name, language=locale.replace("_", "-"), description=sample))
    return list(voices.values())
