"""The system's voices: espeak-ng as it is, and the programs of other systems by strict stand-ins."""

from __future__ import annotations

import asyncio
import base64
import importlib
import io
import json
import re
import sys
import tempfile
import wave
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from providers.adapters import adapter_class
from providers.adapters.system import SystemAdapter, espeak, macos, plain_text, system_engine, whole_wav, windows
from providers.adapters.system.engine import Engine, run_program
from providers.adapters.system.espeak import EspeakLibrary, EspeakProgram
from providers.adapters.system.macos import SayEngine
from providers.adapters.system.windows import PowerShellEngine
from providers.errors import (
    BadAudio,
    NothingToSay,
    ProviderUnavailable,
    UpstreamFailed,
    UpstreamTimeout,
    VoiceNotFound,
)
from providers.speech import AudioFormat, OptionValue, ProviderConfig, SpeechRequest, Voice
from tests.hearing import assert_heard
from tests.upstreams.serving import PATIENT_SECONDS
from tests.upstreams.speech_programs import Program

TEXT = "The weather is nice today, and we are going to the beach with our friends."
ENGLISH = "gmw/en-US"
WORD_ERRORS = 0.35

# Debian's multiarch folder is named by the processor; ctypes finds the library by its plain name.
LIBRARY = "libespeak-ng.so.1"
DATA = next((str(path) for path in Path("/usr/lib").glob("*/espeak-ng-data")), "/usr/share/espeak-ng-data")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as made:
        yield made


@pytest.fixture
def make_adapter(client: httpx.AsyncClient) -> Callable[..., SystemAdapter]:
    def make(engine: Engine | None = None, timeout: float = PATIENT_SECONDS) -> SystemAdapter:
        return SystemAdapter(ProviderConfig(id=1, name="Here", kind="system", timeout=timeout), client, engine)

    return make


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    return folder


@pytest.fixture
def work_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, and nothing else."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


async def take(adapter: SystemAdapter, text: str = TEXT, voice: str = ENGLISH, **options: OptionValue) -> bytes:
    async with adapter.speak(SpeechRequest(text, voice=voice, options=options)) as audio:
        assert audio.format is AudioFormat.WAV
        assert not audio.streaming
        return b"".join([chunk async for chunk in audio.chunks])


def seconds(wav: bytes) -> float:
    """By the header, whose sizes must be true."""
    assert int.from_bytes(wav[4:8], "little") == len(wav) - 8
    with wave.open(io.BytesIO(wav), "rb") as reader:
        frames = reader.getnframes()
        assert len(reader.readframes(frames)) == frames * reader.getsampwidth() * reader.getnchannels()
        return frames / reader.getframerate()


def children() -> set[psutil.Process]:
    """The processes that this one has now; other tests may have left some that serve it to its end."""
    return set(psutil.Process().children())


# espeak-ng itself: its program, and its library in a process of its own.

REAL_ENGINES = [
    pytest.param(EspeakProgram, id="program"),
    pytest.param(lambda: EspeakLibrary(LIBRARY, DATA), id="library"),
]


@pytest.fixture(params=REAL_ENGINES)
def real(request: pytest.FixtureRequest, make_adapter: Callable[..., SystemAdapter]) -> SystemAdapter:
    return make_adapter(request.param())


async def test_espeak_is_heard(real: SystemAdapter) -> None:
    wav = await take(real)
    assert 3 < seconds(wav) < 8
    assert_heard(TEXT, wav, WORD_ERRORS)


async def test_espeak_lists_its_voices(real: SystemAdapter) -> None:
    voices = {voice.id: voice for voice in await real.voices()}
    assert len(voices) > 100
    assert voices[ENGLISH] == Voice(ENGLISH, "English (America)", "en-us", "male")
    assert not [id for id in voices if id.startswith(("mb/", "!v/"))]
    assert all(voice.name == voice.name.strip() and voice.language for voice in voices.values())
    assert (await real.health()).reason == ""


async def test_espeak_speaks_other_languages(real: SystemAdapter) -> None:
    german = await take(real, "Guten Morgen, wie geht es Ihnen heute?", "gmw/de")
    chinese = await take(real, "你好,世界", "sit/cmn")
    assert seconds(german) > 1
    assert seconds(chinese) > 0.5


async def test_the_engines_own_rate(real: SystemAdapter) -> None:
    normal, fast, slow = [seconds(await take(real, rate=rate)) for rate in (1.0, 2.0, 0.5)]
    assert 0.4 < fast / normal < 0.65
    assert 1.6 < slow / normal < 2.4


@pytest.mark.parametrize(
    "voice", ["", "nobody", "en", "gmw/en-US ", "--help", "../../etc/passwd", "mb/mb-en1", "!v/f3"]
)
async def test_only_a_listed_voice_is_used(real: SystemAdapter, voice: str) -> None:
    with pytest.raises(VoiceNotFound) as caught:
        await take(real, voice=voice)
    assert caught.value.status == 404


@pytest.mark.parametrize("text", ["", "   \n\t ", "\x00\x01\x02", "...", "?!", "—", "\u200b", "\ufe0f"])
async def test_what_has_no_sound_is_nothing_to_say(real: SystemAdapter, text: str) -> None:
    with pytest.raises(NothingToSay) as caught:
        await take(real, text)
    assert caught.value.param == "input"


@pytest.mark.parametrize(
    "text",
    [
        "--help -w /tmp/stolen is what you said to me",
        "<audio src='/etc/passwd'/> is the name of a tag",
        "$(touch stolen) `touch stolen` ; touch stolen",
        "%PATH% 'quoted' \"double\" is only text",
    ],
)
async def test_text_is_never_obeyed(
    real: SystemAdapter, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert seconds(await take(real, text)) > 1
    assert list(tmp_path.glob("*stolen*")) == []


async def test_phoneme_brackets_are_read_out(real: SystemAdapter) -> None:
    """As phonemes, `[[h@'loU]]` would be the one word hello."""
    assert seconds(await take(real, "[[h@'loU]]")) > 1.2 * seconds(await take(real, "hello"))


async def test_control_characters_neither_end_the_text_nor_command(real: SystemAdapter) -> None:
    plain = await take(real, "We all go  to the market  and buy a lot of fish.")
    odd = await take(real, "We all go \x00to the market \x01and buy a lot of fish.")
    assert odd == plain


async def test_a_piece_of_full_length(real: SystemAdapter) -> None:
    text = (TEXT + " ") * 40
    wav = await take(real, text[: SystemAdapter.capabilities.piece_characters])
    assert seconds(wav) > 60


async def test_several_calls_at_once(real: SystemAdapter) -> None:
    one, two, three = await asyncio.gather(take(real, "One."), take(real, "Seventeen hundred."), take(real, "One."))
    assert one == three
    assert one != two


async def test_cancelled_at_any_moment_nothing_stays(real: SystemAdapter) -> None:
    await real.voices()
    before = children()
    for steps in range(25):
        call = asyncio.create_task(take(real))
        for _ in range(steps):
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert children() <= before


async def test_a_library_that_does_not_load(make_adapter: Callable[..., SystemAdapter], tmp_path: Path) -> None:
    for library, data in ((str(tmp_path / "none.so"), DATA), (LIBRARY, str(tmp_path))):
        adapter = make_adapter(EspeakLibrary(library, data))
        with pytest.raises(UpstreamFailed, match="exit code 1") as caught:
            await adapter.voices()
        assert str(tmp_path) not in caught.value.message
        health = await adapter.health()
        assert not health.reachable


# Stand-ins: each system's program, with the voice it is asked for.

STANDINS: list[tuple[str, Callable[[str], Engine], str]] = [
    ("say", SayEngine, "Bad News"),
    ("powershell", PowerShellEngine, "Microsoft Zira Desktop"),
    ("espeak-ng", EspeakProgram, ENGLISH),
]


@dataclass
class StandIn:
    program: Program
    adapter: SystemAdapter
    voice: str
    name: str

    async def take(self, text: str = TEXT, **options: OptionValue) -> bytes:
        return await take(self.adapter, text, self.voice, **options)


@pytest.fixture(params=STANDINS, ids=[name for name, _, _ in STANDINS])
def standin(
    request: pytest.FixtureRequest, programs: Path, work_folders: Path, make_adapter: Callable[..., SystemAdapter]
) -> StandIn:
    name, engine, voice = request.param
    return StandIn(Program(programs, name), make_adapter(engine(str(programs))), voice, name)


async def test_a_standin_is_heard(standin: StandIn, work_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEIROHA_SECRET_KEY", "not for programs")
    assert_heard(TEXT, await standin.take(), WORD_ERRORS)
    [call] = [call for call in standin.program.calls if "text" in call]
    assert call["text"] == TEXT
    assert list(work_folders.iterdir()) == []


async def test_text_travels_beside_the_command(standin: StandIn) -> None:
    text = "Tell 'me' \"why\" $(it) `is` [[slnc 500]] <b>naïve</b> 你好 😀\nand & so %PATH% on\x07"
    await standin.take(text)
    [call] = [call for call in standin.program.calls if "text" in call]
    assert call["text"] == text.replace("[[", "[ [").replace("\x07", "")
    given = " ".join(call["arguments"])
    decoded = base64.b64decode(call["arguments"][-1]).decode("utf-16-le") if standin.name == "powershell" else ""
    assert "why" not in given + decoded
    assert "naïve" not in given + decoded


async def test_its_voices_are_listed(standin: StandIn) -> None:
    voices = await standin.adapter.voices()
    assert standin.voice in [voice.id for voice in voices]
    assert (await standin.adapter.health()).reason == ""


async def test_it_is_never_asked_for_an_unknown_voice(standin: StandIn) -> None:
    with pytest.raises(VoiceNotFound):
        await take(standin.adapter, voice="nobody")
    assert [call for call in standin.program.calls if "text" in call] == []


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("fail", UpstreamFailed),
        ("silent", BadAudio),
        ("garbage", BadAudio),
        ("cut", BadAudio),
        ("empty", (BadAudio, NothingToSay)),
    ],
)
async def test_a_program_that_fails(standin: StandIn, mode: str, error: Any, work_folders: Path) -> None:
    await standin.adapter.voices()
    standin.program.mode = mode
    with pytest.raises(error) as caught:
        await standin.take()
    assert "/srv/secret" not in f"{caught.value}"
    assert str(standin.program.folder) not in f"{caught.value}"
    assert list(work_folders.iterdir()) == []


async def test_a_program_that_hangs_is_killed_with_its_children(standin: StandIn, work_folders: Path) -> None:
    await standin.adapter.voices()
    # Enough for the program to begin.
    standin.adapter.config = replace(standin.adapter.config, timeout=5)
    standin.program.mode = "hang"
    call = asyncio.create_task(standin.take())
    lifeline = await asyncio.to_thread(standin.program.wait_until_started)
    with pytest.raises(UpstreamTimeout):
        await call
    await asyncio.to_thread(lifeline.wait_until_all_are_gone)
    assert list(work_folders.iterdir()) == []


async def test_a_cancelled_program_is_killed_with_its_children(standin: StandIn, work_folders: Path) -> None:
    await standin.adapter.voices()
    before = children()
    standin.program.mode = "hang"
    call = asyncio.create_task(standin.take())
    lifeline = await asyncio.to_thread(standin.program.wait_until_started)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.to_thread(lifeline.wait_until_all_are_gone)
    assert children() <= before
    assert list(work_folders.iterdir()) == []


async def test_the_rate_reaches_the_program(
    programs: Path, work_folders: Path, make_adapter: Callable[..., SystemAdapter]
) -> None:
    for name, engine, voice, rates in (
        ("say", SayEngine, "Alex", {0.5: 88, 1.0: 175, 1.5: 262}),
        ("powershell", PowerShellEngine, "Robot", {0.5: -6, 1.0: 0, 1.5: 4, 2.0: 6}),
    ):
        program = Program(programs, name)
        adapter = make_adapter(engine(str(programs)))
        for rate, expected in rates.items():
            await take(adapter, "Hello.", voice, rate=rate)
            assert program.calls[-1]["rate"] == expected


@pytest.mark.parametrize(("mode", "count"), [("one voice", 1), ("no voices", 0)])
async def test_windows_with_few_voices(
    mode: str, count: int, programs: Path, make_adapter: Callable[..., SystemAdapter]
) -> None:
    Program(programs, "powershell").mode = mode
    adapter = make_adapter(PowerShellEngine(str(programs)))
    assert len(await adapter.voices()) == count
    health = await adapter.health()
    assert health.reachable
    assert ("has no voices" in health.reason) is (count == 0)


@pytest.mark.parametrize("mode", ["garbage", "silent", "fail"])
async def test_windows_that_cannot_list_its_voices(
    mode: str, programs: Path, make_adapter: Callable[..., SystemAdapter]
) -> None:
    Program(programs, "powershell").mode = mode
    adapter = make_adapter(PowerShellEngine(str(programs)))
    with pytest.raises((UpstreamFailed, BadAudio)):
        await adapter.voices()
    assert not (await adapter.health()).reachable


@pytest.mark.parametrize("engine", [SayEngine, PowerShellEngine, EspeakProgram])
async def test_a_program_that_is_missing(
    engine: Callable[[str], Engine], programs: Path, make_adapter: Callable[..., SystemAdapter]
) -> None:
    adapter = make_adapter(engine(str(programs)))
    with pytest.raises(ProviderUnavailable, match="No speech engine"):
        await adapter.voices()
    with pytest.raises(ProviderUnavailable, match="No speech engine"):
        await take(adapter)
    health = await adapter.health()
    assert not health.reachable
    assert health.reason.startswith("No speech engine")


async def test_a_program_that_cannot_be_started(programs: Path) -> None:
    (programs / "say").write_text("#!/nowhere/at/all\n")
    (programs / "say").chmod(0o755)
    with pytest.raises(ProviderUnavailable, match="can't be started"):
        await run_program([str(programs / "say")], timeout=PATIENT_SECONDS)


# Pure parts.


def test_command_lines() -> None:
    assert macos.speak_arguments("Bad News", 1.0, "/t/o.wav") == [
        *("-v", "Bad News", "-o", "/t/o.wav"),
        *("--file-format=WAVE", "--data-format=LEI16@22050", "-f", "-"),
    ]
    assert macos.speak_arguments("Alex", 2.0, "/t/o.wav")[:4] == ["-v", "Alex", "-r", "350"]
    assert espeak.speak_arguments(ENGLISH, 1.5) == ["--stdin", "--stdout", "-b", "1", "-s", "262", "-v", ENGLISH]
    arguments = windows.script_arguments("é'\n")
    assert arguments[:-1] == ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-EncodedCommand"]
    assert base64.b64decode(arguments[-1]) == b"\xe9\0'\0\n\0"


@pytest.mark.parametrize("script", [windows.SPEAK_SCRIPT, windows.VOICES_SCRIPT])
def test_windows_takes_the_scripts(script: str) -> None:
    """The whole command line may have 32,767 characters."""
    assert len(" ".join(windows.script_arguments(script))) < 8000
    assert script.isascii()
    assert not re.search(r"\{\{|\}\}", script), "braces of a Python format"


@pytest.mark.parametrize(
    ("rate", "sapi"), [(1 / 3, -10), (0.25, -10), (0.5, -6), (1.0, 0), (1.5, 4), (2.0, 6), (3.0, 10), (4.0, 10)]
)
def test_sapi_rates(rate: float, sapi: int) -> None:
    assert windows.sapi_rate(rate) == sapi


def test_parsing_the_voices_of_say() -> None:
    listed = """\
Alex                en_US    # Most people recognize me by my voice.
Bad News            en_US    # The light you see at the end of the tunnel is the headlamp of a fast approaching train.
Eddy (English (US)) en_US    # Hello! My name is Eddy.
Eddy (English (US)) en_GB    # The same name once more.
Tingting            zh_CN    # 您好,我叫婷婷。
Majed               ar_001   # مرحبًا

not a voice
"""
    voices = macos.parse_voices(listed)
    assert [(voice.id, voice.language) for voice in voices] == [
        ("Alex", "en-US"),
        ("Bad News", "en-US"),
        ("Eddy (English (US))", "en-US"),
        ("Tingting", "zh-CN"),
        ("Majed", "ar-001"),
    ]
    assert voices[3].description == "您好,我叫婷婷。"


def test_parsing_the_voices_of_espeak() -> None:
    listed = """\
Pty Language       Age/Gender VoiceName          File                 Other Languages
 5  bpy             --/M      Bishnupriya_Manipuri inc/bpy
 5  chr-US-Qaaa-x-west --/M      Cherokee_          iro/chr
 2  en-us           40/F      English_(America)  gmw/en-US            (en 3)(en-gb 5)
 5  xx              --/-      Nobody             zz/xx
 5  fr              --/M      french-mbrola-1    mb/mb-fr1
"""
    assert espeak.parse_voices(listed) == [
        Voice("inc/bpy", "Bishnupriya Manipuri", "bpy", "male"),
        Voice("iro/chr", "Cherokee", "chr-US-Qaaa-x-west", "male"),
        Voice("gmw/en-US", "English (America)", "en-us", "female"),
        Voice("zz/xx", "Nobody", "xx", ""),
    ]


def test_parsing_the_voices_of_windows() -> None:
    listed = [
        {"name": "Microsoft Zira Desktop", "language": "en-US", "gender": "Female", "description": "Zira"},
        {"name": "Robot", "language": None, "gender": "NotSet", "description": None},
    ]
    assert windows.parse_voices(json.dumps(listed).encode()) == [
        Voice("Microsoft Zira Desktop", "Microsoft Zira Desktop", "en-US", "female", "Zira"),
        Voice("Robot", "Robot"),
    ]
    for broken in (b"", b"\xff", b"{}x", b"7", b'["a"]', b'[{"name":"a"}]'):
        with pytest.raises(UpstreamFailed):
            windows.parse_voices(broken)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("[[rate 90]] hi", "[ [rate 90]] hi"),
        ("[[[[x]]]]", "[ [ [ [x]]]]"),
        ("[ [x] [y]", "[ [x] [y]"),
        ("a\x00b\x01\x1bc\x9b", "a b  c"),
        ("one\r\ntwo\tthree\n", "one \ntwo three"),
        ("می‌خواهم — naïve", "می‌خواهم — naïve"),
    ],
)
def test_plain_text(text: str, plain: str) -> None:
    assert plain_text(text) == plain


def wav(samples: bytes, *, data_size: int | None = None, riff_size: int | None = None) -> bytes:
    output = io.BytesIO()
    with wave.open(output, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(22_050)
        writer.writeframes(samples)
    data = bytearray(output.getvalue())
    if data_size is not None:
        data[40:44] = data_size.to_bytes(4, "little")
        data[4:8] = (riff_size or data_size).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize("size", [0x7FFFF000, 0xFFFFFFFF])
def test_placeholder_sizes_become_true(size: int) -> None:
    placeholder = wav(b"\1\0" * 1000, data_size=size, riff_size=min(size + 36, 0xFFFFFFFF))
    assert whole_wav(placeholder) == wav(b"\1\0" * 1000)


@pytest.mark.parametrize("broken", [b"", b"RIFF", b"x" * 500, wav(b"\1\0" * 1000)[:30], wav(b"\1\0" * 1000)[:-2]])
def test_what_is_no_whole_file(broken: bytes) -> None:
    with pytest.raises(BadAudio):
        whole_wav(broken)


@pytest.mark.parametrize("silence", [b"", b"\0\0" * 5000])
def test_silence_is_nothing_to_say(silence: bytes) -> None:
    with pytest.raises(NothingToSay):
        whole_wav(wav(silence))


# The kind.


@pytest.mark.skipif(sys.platform != "linux", reason="asks for what this system has")
def test_it_is_registered_and_knows_this_system() -> None:
    assert adapter_class("system") is SystemAdapter
    assert isinstance(system_engine(), EspeakProgram)
    assert SystemAdapter.unavailable() == ""
    capabilities = SystemAdapter.capabilities
    assert capabilities.formats == {AudioFormat.WAV}
    assert capabilities.speed is None
    assert not capabilities.instructions


@pytest.mark.skipif(sys.platform != "linux", reason="asks for what this system has")
def test_without_an_engine_the_kind_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    # Another test's stand-in for the optional package may have been imported in this process.
    monkeypatch.delitem(sys.modules, "espeakng_loader", raising=False)
    importlib.invalidate_caches()
    assert "install espeak-ng" in SystemAdapter.unavailable()


@pytest.mark.skipif(sys.platform != "linux", reason="asks for what this system has")
async def test_without_the_program_the_optional_package_speaks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_adapter: Callable[..., SystemAdapter]
) -> None:
    package = tmp_path / "espeakng_loader.py"
    package.write_text(
        f"def get_library_path(): return {LIBRARY!r}\n"
        f"def get_data_path():\n    if not {DATA!r}: raise RuntimeError\n    return {DATA!r}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delitem(sys.modules, "espeakng_loader", raising=False)
    assert SystemAdapter.unavailable() == ""
    adapter = make_adapter()
    assert isinstance(system_engine(), EspeakLibrary)
    assert_heard(TEXT, await take(adapter), WORD_ERRORS)
