"""What an export consists of: the merged recording, the zip with its manifests, subtitles that fit; and failures."""

from __future__ import annotations

import csv
import io
import json
import resource
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pysubs2
import pytest

from banks.storage import StorageError, StorageFailed, StorageFull
from providers.audio import BadPart, Cancelled, Part, Slot, Target, probe
from providers.errors import InvalidRequest, SpeechError
from providers.speech import AudioFormat
from studio import export_files
from studio.export_files import COLUMNS, ExportLine, Gaps, slots_of, write_merged, write_subtitles, write_zip
from studio.file_names import safe_name
from tests.hearing import assert_heard
from tests.recordings import SCRIPT, after, chapters, clicks, heard, s16, script_files, written
from tests.small_disk import small_disk
from tests.sounds import spoken, wav_file

GAPS = Gaps(0.5, 1.25)
SPEAKERS = ("Anna", 'The "old" man: <x>', "", "王", "../../etc/passwd", "CON.")
NAMES = (
    "0001 Anna.wav",
    "0002 The old man x.mp3",
    "0003 line.opus",
    "0004 王.flac",
    "0005 etc passwd.aac",
    "0006 CON.wav",
)


def never() -> bool:
    return False


def ignored(_: float) -> None:
    return None


def lines_of(parts: list[Part], texts: tuple[str, ...] = SCRIPT) -> list[ExportLine]:
    return [
        ExportLine(
            index, SPEAKERS[(index - 1) % 6], texts[(index - 1) % len(texts)], part.path, part.format, 1.0, part.chapter
        )
        for index, part in enumerate(parts, start=1)
    ]


@pytest.fixture
def script(tmp_path: Path) -> list[ExportLine]:
    """Two chapters; the second begins with the fourth line."""
    lines = lines_of(script_files(tmp_path))
    lines[0], lines[3] = replace(lines[0], chapter="Morning"), replace(lines[3], chapter="Evening")
    return lines


def slots(lines: list[ExportLine]) -> list[Slot]:
    return slots_of(lines, GAPS, progress=ignored, cancelled=never)


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(("source-", "espeak"))}


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """What a quota of the system does: writing more ends in an error, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# Merged.


def test_an_audiobook_of_lines(script: list[ExportLine], tmp_path: Path) -> None:
    told: list[float] = []
    path = tmp_path / "book.m4b"
    merged = write_merged(
        script, path, Target.M4B, gaps=GAPS, progress=told.append, cancelled=never, title="Days", author="Anna"
    )
    starts, ends = [slot.start for slot in merged.slots], [slot.end for slot in merged.slots]
    gaps = [start - end for start, end in zip(starts[1:], ends, strict=False)]
    assert gaps == pytest.approx([0.5, 0.5, 1.25, 0.5, 0.5], abs=0.0001)
    assert merged.duration == pytest.approx(ends[-1]), "no silence at the end"
    assert [title for _, _, title in chapters(path)] == ["Morning", "Evening"]
    assert chapters(path)[1][0] == pytest.approx(starts[3], abs=0.001)
    assert merged.slots == slots(script)
    assert told[-1] == 1


def test_a_loudness_of_choice_and_none(script: list[ExportLine], tmp_path: Path) -> None:
    common: dict[str, Any] = {"gaps": GAPS, "progress": ignored, "cancelled": never}
    write_merged(script, tmp_path / "a.flac", Target.FLAC, loudness=-23.0, **common)
    assert heard(tmp_path / "a.flac").loudness == pytest.approx(-23, abs=1)
    assert write_merged(script, tmp_path / "b.flac", Target.FLAC, loudness=None, **common).gain == 0


# Subtitles.


@pytest.mark.parametrize("format", ["srt", "vtt"])
def test_subtitles_fit_the_merged_recording(format: str, script: list[ExportLine], tmp_path: Path) -> None:
    """Cut where each cue says, the recording says what the cue does."""
    merged = write_merged(script, tmp_path / "all.flac", Target.FLAC, gaps=GAPS, progress=ignored, cancelled=never)
    write_subtitles(script, merged.slots, tmp_path / f"all.{format}", format)
    cues = pysubs2.load(str(tmp_path / f"all.{format}"), encoding="utf-8", format_=format)
    found = heard(tmp_path / "all.flac")
    mono = found.samples.mean(axis=0)
    assert len(cues) == len(script)
    for cue, line, slot in zip(cues, script, merged.slots, strict=True):
        assert line.text in cue.plaintext
        assert (cue.start / 1000, cue.end / 1000) == pytest.approx((slot.start, slot.end), abs=0.0006)
        start, end = (round(moment / 1000 * found.sample_rate) for moment in (cue.start, cue.end))
        assert_heard(line.text, wav_file(s16(mono[start:end]), found.sample_rate))


def test_subtitles_do_not_drift(tmp_path: Path) -> None:
    """After hundreds of lines whose lengths are no whole milliseconds, still on the click."""
    sources = clicks(tmp_path, [(AudioFormat.WAV, 16_000), (AudioFormat.FLAC, 22_050)], seconds=0.50007, gap=0)
    lines = lines_of([sources[number % 2] for number in range(500)], ("Click.",))
    merged = write_merged(
        lines, tmp_path / "all.opus", Target.OPUS, gaps=Gaps(0.1003), progress=ignored, cancelled=never
    )
    write_subtitles(lines, merged.slots, tmp_path / "all.srt", "srt", speakers=False)
    cues = pysubs2.load(str(tmp_path / "all.srt"), encoding="utf-8")
    found = heard(tmp_path / "all.opus")
    drifts = [found.click_after(cue.start / 1000) - cue.start / 1000 for cue in cues]
    assert len(drifts) == 500 and max(map(abs, drifts)) < 0.005


def test_subtitles_with_and_without_speakers(script: list[ExportLine], tmp_path: Path) -> None:
    given = slots(script)
    write_subtitles(script, given, tmp_path / "a.srt", "srt")
    write_subtitles(script, given, tmp_path / "b.srt", "srt", speakers=False)
    assert f"\nAnna: {SCRIPT[0]}\n" in (tmp_path / "a.srt").read_text()
    assert "Anna" not in (tmp_path / "b.srt").read_text()
    write_subtitles(script, given, tmp_path / "a.vtt", "vtt")
    assert (tmp_path / "a.vtt").read_text().startswith("WEBVTT\n")


# The zip.


def zipped(lines: list[ExportLine], path: Path, progress: Callable[[float], None] = ignored) -> zipfile.ZipFile:
    write_zip(lines, slots(lines), path, progress=progress, cancelled=never, title="Days")
    return zipfile.ZipFile(path)


def test_each_line_is_a_file_with_a_safe_name(script: list[ExportLine], tmp_path: Path) -> None:
    told: list[float] = []
    with zipped(script, tmp_path / "lines.zip", told.append) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["manifest.json", "manifest.csv", *NAMES]
        for info, line in zip(archive.infolist()[2:], script, strict=True):
            assert info.compress_type == zipfile.ZIP_STORED
            if line.format is AudioFormat.PCM:
                assert archive.read(info)[44:] == line.path.read_bytes()
                assert probe(archive.read(info)).sample_rate == 24_000
            else:
                assert archive.read(info) == line.path.read_bytes()
        assert_heard(SCRIPT[5], archive.read(NAMES[5]))
    assert told == sorted(told) and told[-1] == 1
    assert (tmp_path / "lines.zip").stat().st_mode & 0o777 == 0o600


def test_the_manifests(script: list[ExportLine], tmp_path: Path) -> None:
    with zipped(script, tmp_path / "lines.zip") as archive:
        manifest = json.loads(archive.read("manifest.json"))
        rows = list(csv.DictReader(io.StringIO(archive.read("manifest.csv").decode("utf-8-sig"), newline="")))
        for entry in manifest["lines"]:
            heard_seconds = probe(archive.read(entry["file"])).duration
            assert entry["duration"] == pytest.approx(heard_seconds, abs=0.001)
    assert manifest["title"] == "Days"
    assert [list(entry) for entry in manifest["lines"]] == [list(COLUMNS)] * 6
    assert [entry["order"] for entry in manifest["lines"]] == [1, 2, 3, 4, 5, 6]
    assert [(entry["speaker"], entry["text"]) for entry in manifest["lines"]] == list(
        zip(SPEAKERS, SCRIPT, strict=True)
    )
    assert [entry["file"] for entry in manifest["lines"]] == list(NAMES)
    assert [entry["start"] for entry in manifest["lines"]] == pytest.approx([slot.start for slot in slots(script)])
    assert rows == [{name: str(value) for name, value in entry.items()} for entry in manifest["lines"]]


@pytest.mark.parametrize("sign", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "  =1", "－1"])
def test_a_spreadsheet_calculates_nothing(sign: str, script: list[ExportLine], tmp_path: Path) -> None:
    lines = [replace(script[0], text=sign, speaker=sign), replace(script[1], text='Said, "no"\nand = left.')]
    with zipped(lines, tmp_path / "lines.zip") as archive:
        first, second = csv.DictReader(io.StringIO(archive.read("manifest.csv").decode("utf-8-sig"), newline=""))
        manifest = json.loads(archive.read("manifest.json"))["lines"]
    assert (first["text"], first["speaker"]) == (f"'{sign}", f"'{sign}")
    assert second["text"] == 'Said, "no"\nand = left.'
    assert (manifest[0]["text"], manifest[0]["speaker"]) == (sign, sign), "the other one has it as it is"


def test_numbers_are_as_wide_as_the_largest(script: list[ExportLine]) -> None:
    many = [replace(script[0], index=1), replace(script[0], index=12_345)]
    assert export_files.file_names(many) == ["00001 Anna.wav", "12345 Anna.wav"]


@pytest.mark.parametrize(
    ("words", "name"),
    [("a/b\\c:d", "a b c d"), ("  x  ", "x"), ("...", "none"), ("", "none"), ("a\u202eb", "a b"), ("x" * 99, "x" * 60)],
)
def test_safe_names(words: str, name: str) -> None:
    assert safe_name(words, "none") == name


# What goes wrong.


def write_all(kind: str, lines: list[ExportLine], path: Path, cancelled: Callable[[], bool] = never) -> None:
    if kind == "zip":
        given = [Slot(0, 1)] * len(lines)
        write_zip(lines, given, path, progress=ignored, cancelled=cancelled)
    elif kind == "srt":
        write_subtitles(lines, [Slot(0, 1)] * len(lines), path, "srt")
    else:
        write_merged(lines, path, Target(kind), gaps=GAPS, progress=ignored, cancelled=cancelled)


KINDS = ["zip", *Target]


@pytest.mark.parametrize("kind", [*KINDS, "srt"])
def test_an_empty_project_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no line has audio"):
        write_all(kind, [], tmp_path / "out")
    assert left(tmp_path) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_cancelled_it_leaves_nothing(kind: str, script: list[ExportLine], tmp_path: Path) -> None:
    for calls in (0, 4):
        with pytest.raises(Cancelled):
            write_all(kind, script, tmp_path / "out", after(calls))
        assert left(tmp_path) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_is_named_by_its_line(kind: str, script: list[ExportLine], tmp_path: Path) -> None:
    script[3].path.unlink()
    with pytest.raises(BadPart, match="Line 4 .王.: Its file can't be read: No such file") as caught:
        write_all(kind, script, tmp_path / "out")
    assert caught.value.part == 3 and not isinstance(caught.value, StorageError)
    assert left(tmp_path) == set()


def noisy(folder: Path) -> list[ExportLine]:
    """Some megabytes in any format."""
    samples = np.random.default_rng(1).normal(0, 0.1, 20 * 48_000)
    part = written(folder, 1, AudioFormat.WAV, wav_file(s16(samples), 48_000))
    return lines_of([part] * 6)


@pytest.mark.parametrize("kind", KINDS)
def test_without_room_nothing_half_is_left(kind: str, tmp_path: Path) -> None:
    lines = noisy(tmp_path)
    with largest_file(400_000), pytest.raises(StorageFull, match="disk is full: make room on it"):
        write_all(kind, lines, tmp_path / "out")
    assert left(tmp_path) == set()
    write_all(kind, lines, tmp_path / "out")
    assert left(tmp_path) == {"out"} and (tmp_path / "out").stat().st_size > 400_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk(kind: str, tmp_path: Path) -> None:
    lines = noisy(tmp_path)
    with small_disk(tmp_path / "source-disk", 1) as disk:
        with (disk.folder / "ballast").open("wb") as file:
            file.write(bytes(700_000))
        with pytest.raises(StorageFull) as caught:
            write_all(kind, lines, disk.folder / "out")
        assert isinstance(caught.value, SpeechError) and caught.value.status == 507
        assert left(disk.folder) == {"ballast"}


@pytest.mark.parametrize("kind", [*KINDS, "srt"])
def test_a_folder_that_is_not_there(kind: str, script: list[ExportLine], tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="can't write to its data folder"):
        write_all(kind, script, tmp_path / "nowhere" / "out")


def test_raw_samples_of_another_rate(tmp_path: Path) -> None:
    part = written(tmp_path, 1, AudioFormat.PCM, spoken(SCRIPT[0])[::1])
    line = replace(lines_of([part])[0], sample_rate=12_000)
    (slot,) = slots([line])
    assert slot.end == pytest.approx(len(spoken(SCRIPT[0])) / 2 / 12_000, abs=0.001)
    with zipped([line], tmp_path / "lines.zip") as archive:
        assert probe(archive.read("0001 Anna.wav")).sample_rate == 12_000
