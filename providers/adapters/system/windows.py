"""Windows: System.Speech (SAPI 5) through Windows PowerShell.

The scripts are constant. What is spoken travels in a file, whose folder is named by an environment variable, so that no
text can ever be read as code; results come back as files, past every console encoding.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import shutil

from providers.adapters.system.engine import read_result, run_program, work_folder
from providers.errors import UpstreamFailed
from providers.speech import Voice

FOLDER_VARIABLE = "SPEECH_FOLDER"
JOB_FILE, SPEECH_FILE, VOICES_FILE = "job.json", "speech.wav", "voices.json"

_GENDERS = {"Male": "male", "Female": "female"}

_PREPARE = f"""
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
Add-Type -AssemblyName System.Speech
$folder = $env:{FOLDER_VARIABLE}
$utf8 = [Text.UTF8Encoding]::new($false)
$synthesizer = [System.Speech.Synthesis.SpeechSynthesizer]::new()
"""
# Speak, never SpeakSsml: a `<` in the text is only a character.
SPEAK_SCRIPT = (
    _PREPARE
    + f"""
$job = [IO.File]::ReadAllText([IO.Path]::Combine($folder, '{JOB_FILE}'), $utf8) | ConvertFrom-Json
$synthesizer.SelectVoice($job.voice)
$synthesizer.Rate = [int]$job.rate
$synthesizer.SetOutputToWaveFile([IO.Path]::Combine($folder, '{SPEECH_FILE}'))
$synthesizer.Speak([string]$job.text)
$synthesizer.SetOutputToNull()
$synthesizer.Dispose()
"""
)
# A list of one would lose its brackets in a pipeline.
VOICES_SCRIPT = (
    _PREPARE
    + f"""
$voices = @($synthesizer.GetInstalledVoices() | Where-Object Enabled | ForEach-Object {{
    $info = $_.VoiceInfo
    @{{
        name = $info.Name
        language = $info.Culture.Name
        gender = [string]$info.Gender
        description = $info.Description
    }}
}})
$listed = ConvertTo-Json -InputObject $voices -Compress
[IO.File]::WriteAllText([IO.Path]::Combine($folder, '{VOICES_FILE}'), $listed, $utf8)
"""
)


class PowerShellEngine:
    def __init__(self, search_path: str | None = None) -> None:
        # Not PowerShell 7, which lacks System.Speech.
        self._program = shutil.which("powershell", path=search_path) or ""

    def unavailable(self) -> str:
        return "" if self._program else "No speech engine: Windows PowerShell (powershell.exe) is missing."

    async def voices(self, timeout: float) -> list[Voice]:
        return parse_voices(await self._run(VOICES_SCRIPT, {}, VOICES_FILE, timeout))

    async def speak(self, text: str, voice: str, rate: float, timeout: float) -> bytes:
        return await self._run(
            SPEAK_SCRIPT, {"text": text, "voice": voice, "rate": sapi_rate(rate)}, SPEECH_FILE, timeout
        )

    async def _run(self, script: str, job: dict[str, str | int], result: str, timeout: float) -> bytes:
        async with work_folder() as folder:
            await asyncio.to_thread(folder.joinpath(JOB_FILE).write_text, json.dumps(job), "utf-8")
            command = [self._program, *script_arguments(script)]
            await run_program(command, timeout=timeout, environment={FOLDER_VARIABLE: str(folder)})
            return await read_result(folder / result)


def script_arguments(script: str) -> list[str]:
    encoded = base64.b64encode(script.encode("utf-16-le")).decode()
    return ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-EncodedCommand", encoded]


def sapi_rate(rate: float) -> int:
    """SAPI's scale is exponential: -10 is a third of the pace, 10 is three times it."""
    return max(-10, min(10, round(10 * math.log(rate) / math.log(3))))


def parse_voices(listed: bytes) -> list[Voice]:
    try:
        return [
            Voice(
                id=entry["name"],
                name=entry["name"],
                language=entry["language"] or "",
                gender=_GENDERS.get(entry["gender"], ""),
                description=entry["description"] or "",
            )
            for entry in json.loads(listed)
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise UpstreamFailed("The system's speech engine listed its voices in an unknown way.") from error
