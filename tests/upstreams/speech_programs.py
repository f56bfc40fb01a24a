"""Programs that stand for the speech programs of other systems. Each checks strictly what it is given.

`install` writes one into a folder, from where the engine under test starts it. A file `mode` beside it makes it fail in
its ways; it appends what it was given to `calls`, one JSON object a line. What it says, espeak-ng says.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
from pathlib import Path
from typing import Any

from tests.upstreams.serving import WAIT_SECONDS

_COMMON = """#!{python} -I
import base64, json, os, struct, subprocess, sys
from pathlib import Path
here = Path(__file__).parent
mode = here.joinpath("mode").read_text() if here.joinpath("mode").exists() else ""
arguments = sys.argv[1:]

def refuse(reason):
    sys.stderr.write(reason + " /srv/secret/path")
    sys.exit(64)

def note(**given):
    with open(here / "calls", "a", encoding="utf-8") as calls:
        calls.write(json.dumps({{"arguments": arguments, **given}}) + "\\n")

def say(text, words_per_minute, path):
    if not text.strip():
        sys.exit(0)
    command = ["{espeak}", "--stdin", "-b", "1", "-s", str(words_per_minute), "-v", "gmw/en-US", "-w", str(path)]
    subprocess.run(command, input=text.encode(), check=True)

def misbehave(path):
    if mode == "hang":
        # Whoever reads the pipe sees its end only when this program and its child are both gone.
        with open(here / "alive", "w") as alive:
            child = subprocess.Popen(["sleep", "600"], stdout=alive)
            alive.write("ready\\n")
            alive.flush()
            child.wait()
    if mode == "fail":
        refuse("it failed")
    if mode == "silent":
        sys.exit(0)
    if mode == "garbage":
        path.write_bytes(b"not audio at all")
        sys.exit(0)
    if mode == "cut":
        say("This is cut off.", 175, path)
        path.write_bytes(path.read_bytes()[:-2000])
        sys.exit(0)
    if mode == "empty":
        fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 22050, 44100, 2, 16)
        path.write_bytes(b"RIFF" + struct.pack("<I", 36) + b"WAVE" + fmt + b"data" + struct.pack("<I", 0))
        sys.exit(0)

if any(name.startswith("NEIROHA_") for name in os.environ):
    refuse("it sees the server's secrets")
"""

_SAY = """
VOICES = {"Alex": "en_US", "Bad News": "en_US", "Eddy (English (US))": "en_US", "Tingting": "zh_CN"}

if os.environ.get("LC_ALL") != "en_US.UTF-8":
    refuse("no locale")
if arguments == ["-v", "?"]:
    misbehave(Path(os.devnull))
    for name, locale in VOICES.items():
        print(f"{name:<20}{locale}    # Hello! My name is {name}.")
    sys.exit(0)
rest = list(arguments)
if rest.pop(0) != "-v" or rest[0] not in VOICES:
    refuse("Voice not found.")
voice, rate = rest.pop(0), 175
if rest[0] == "-r":
    rate = int(rest[1])
    del rest[:2]
if rest.pop(0) != "-o" or rest[1:] != ["--file-format=WAVE", "--data-format=LEI16@22050", "-f", "-"]:
    refuse("bad options")
path = Path(rest[0])
text = sys.stdin.buffer.read().decode("utf-8", "strict")
note(voice=voice, rate=rate, text=text, output=str(path))
if "[[" in text or not path.is_absolute() or path.exists():
    refuse("commands in the text, or no fresh file")
misbehave(path)
say(text, rate, path)
"""

_POWERSHELL = """
VOICES = [
    {"name": "Microsoft Zira Desktop", "language": "en-US", "gender": "Female", "description": "Zira - English"},
    {"name": "Microsoft Huihui Desktop", "language": "zh-CN", "gender": "Female", "description": None},
    {"name": "Robot", "language": None, "gender": "NotSet", "description": ""},
]
SPEAKING = [".SelectVoice($job.voice)", ".Rate = [int]$job.rate", ".SetOutputToWaveFile(", ".Speak([string]$job.text)"]

if arguments[:-1] != ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-EncodedCommand"]:
    refuse("bad options")
if sys.stdin.buffer.read():
    refuse("a command that is encoded must not be mixed with input")
script = base64.b64decode(arguments[-1], validate=True).decode("utf-16-le")
lines = [line.strip() for line in script.splitlines() if line.strip()]
if lines[0] != "$ErrorActionPreference = 'Stop'" or "Add-Type -AssemblyName System.Speech" not in lines:
    refuse("errors would be success")
if script.count("{") != script.count("}") or script.count("(") != script.count(")") or script.count("'") % 2:
    refuse("syntax error")
folder = Path(os.environ["SPEECH_FOLDER"])
job = json.loads(folder.joinpath("job.json").read_bytes().decode("utf-8", "strict"))
if "GetInstalledVoices()" in script:
    if "ConvertTo-Json -InputObject" not in script or "'voices.json'" not in script:
        refuse("a list of one would lose its brackets")
    note()
    misbehave(folder / "voices.json")
    listed = VOICES[:1] if mode == "one voice" else [] if mode == "no voices" else VOICES
    folder.joinpath("voices.json").write_text(json.dumps(listed, ensure_ascii=False), "utf-8")
    sys.exit(0)
positions = [script.find(part) for part in SPEAKING]
if -1 in positions or positions != sorted(positions) or "SpeakSsml" in script or "'speech.wav'" not in script:
    refuse("bad script")
if set(job) != {"text", "voice", "rate"} or type(job["rate"]) is not int or not -10 <= job["rate"] <= 10:
    refuse("bad job")
if job["voice"] not in [voice["name"] for voice in VOICES]:
    refuse("Cannot set voice. No matching voice is installed or the voice was disabled.")
note(output=str(folder), **job)
misbehave(folder / "speech.wav")
say(job["text"], round(175 * 3 ** (job["rate"] / 10)), folder / "speech.wav")
"""

_ESPEAK = """
if arguments == ["--voices"]:
    print("Pty Language       Age/Gender VoiceName          File                 Other Languages")
    print(" 2  en-us           --/M      English_(America)  gmw/en-US            (en 3)")
    print(" 5  fr              --/F      french-mbrola      mb/mb-fr1")
    print(" 5  variant         --/F      female3            !v/f3")
    sys.exit(0)
if arguments[:6] != ["--stdin", "--stdout", "-b", "1", "-s", "175"] or arguments[6:] != ["-v", "gmw/en-US"]:
    refuse("bad options")
text = sys.stdin.buffer.read().decode("utf-8", "strict")
note(text=text)
path = here / "spoken.wav"
path.write_bytes(b"")
misbehave(path) if mode not in ("garbage", "cut", "empty") else None
if mode == "garbage":
    print("espeak-ng: everything is fine")
elif mode in ("cut", "empty"):
    sys.exit(0)
else:
    say(text, 175, path)
    sys.stdout.buffer.write(path.read_bytes())
"""

_PROGRAMS = {"say": _SAY, "powershell": _POWERSHELL, "espeak-ng": _ESPEAK}


class Program:
    """A program that was put into `folder`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        common = _COMMON.format(python=sys.executable, espeak=shutil.which("espeak-ng"))
        path = folder / name
        path.write_text(common + _PROGRAMS[name], "utf-8")
        path.chmod(0o755)

    @property
    def mode(self) -> str:
        return (self.folder / "mode").read_text()

    @mode.setter
    def mode(self, value: str) -> None:
        (self.folder / "mode").write_text(value)
        if value == "hang":
            os.mkfifo(self.folder / "alive")

    @property
    def calls(self) -> list[dict[str, Any]]:
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []

    def wait_until_started(self) -> Lifeline:
        return Lifeline(self.folder / "alive")


class Lifeline:
    """A pipe that the program and its child hold open."""

    def __init__(self, path: Path) -> None:
        # Opening it waits for nobody: the program may be killed before it begins.
        self._pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        assert self._read() == b"ready\n", "the program did not begin"

    def _read(self) -> bytes:
        assert select.select([self._pipe], [], [], WAIT_SECONDS)[0], "the program neither says anything nor ends"
        return os.read(self._pipe, 100)

    def wait_until_all_are_gone(self) -> None:
        assert self._read() == b""
        os.close(self._pipe)
