"""One file from many: what is heard, how loud, where, with which chapters; and what is left when it fails."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from providers.audio import BadPart, Cancelled, Part, Target, encode, merge, timeline
from providers.errors import InvalidRequest, SpeechError
from providers.speech import AudioFormat
from tests.books import picture
from tests.hearing import assert_heard
from tests.recordings import SCRIPT, Samples, after, chapters, clicks, heard, s16, script_files, written
from tests.sounds import noise, spoken, tone, wav_file

RATE = 48_000
LOSSY = (Target.MP3, Target.OPUS, Target.M4B)
MIXED = [
    (AudioFormat.WAV, 16_000),
    (AudioFormat.MP3, 24_000),
    (AudioFormat.FLAC, 22_050),
    (AudioFormat.OPUS, 48_000),
    (AudioFormat.WAV, 44_100),
]


def one(folder: Path, samples: Samples, rate: int = RATE, channels: int = 1) -> list[Part]:
    return [written(folder, 1, AudioFormat.WAV, wav_file(s16(samples), rate, channels=channels), 0.0)]


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith("source-")}


# What is heard.


@pytest.mark.parametrize("target", Target)
def test_lines_of_any_format_are_heard_in_order(target: Target, tmp_path: Path) -> None:
    path = tmp_path / f"all.{target}"
    merged = merge(script_files(tmp_path), target, path)
    found = heard(path)
    assert_heard(" ".join(SCRIPT), wav_file(s16(found.samples.mean(axis=0)), found.sample_rate))
    assert (found.channels, merged.channels) == (2, 2), "one line is stereo"
    assert found.sample_rate == merged.sample_rate == RATE
    assert found.seconds == pytest.approx(merged.duration, abs=0.001)
    assert found.loudness == pytest.approx(-16, abs=1)
    assert found.true_peak < -0.5


def test_each_line_is_heard_in_its_place(tmp_path: Path) -> None:
    merged = merge(script_files(tmp_path), Target.FLAC, tmp_path / "all.flac")
    found = heard(tmp_path / "all.flac")
    for sentence, slot in zip(SCRIPT, merged.slots, strict=True):
        piece = found.samples.mean(axis=0)[round(slot.start * RATE) : round(slot.end * RATE)]
        assert_heard(sentence, wav_file(s16(piece), RATE))
    for before, following in zip(merged.slots, merged.slots[1:], strict=False):
        gap = found.samples[:, round(before.end * RATE) + 480 : round(following.start * RATE) - 480]
        assert following.start - before.end == pytest.approx(0.6) and np.abs(gap).max() < 0.001


@pytest.mark.parametrize("target", Target)
def test_tags_say_what_it_is(target: Target, tmp_path: Path) -> None:
    path = tmp_path / f"all.{target}"
    merge(clicks(tmp_path, MIXED), target, path, title="Dorf am Fluß", author="村上")
    with av.open(str(path)) as container:
        tags = container.metadata | container.streams.audio[0].metadata
    assert {name.lower(): tags[name] for name in tags}.items() >= {"title": "Dorf am Fluß", "artist": "村上"}.items()


def test_as_good_as_the_best_part_unless_told(tmp_path: Path) -> None:
    parts = clicks(tmp_path, [(AudioFormat.WAV, 16_000), (AudioFormat.FLAC, 22_050)])
    path = tmp_path / "all.wav"
    assert merge(parts, Target.WAV, path).sample_rate == heard(path).sample_rate == 22_050
    told = merge(parts, Target.WAV, path, sample_rate=32_000, channels=2)
    assert (told.sample_rate, told.channels) == (heard(path).sample_rate, heard(path).channels) == (32_000, 2)
    assert merge(parts, Target.OPUS, tmp_path / "all.opus").sample_rate == RATE
    high = one(tmp_path, np.sin(np.arange(96_000) / 20), rate=96_000)
    assert merge(high, Target.WAV, path).sample_rate == RATE, "no higher than that"


def test_mono_is_as_loud_as_stereo_beside_it(tmp_path: Path) -> None:
    voice = np.frombuffer(spoken(SCRIPT[0]), "<i2") / 32768
    both = written(tmp_path, 1, AudioFormat.WAV, wav_file(s16(voice.repeat(2)), 24_000, channels=2))
    single = written(tmp_path, 2, AudioFormat.WAV, wav_file(s16(voice * np.sqrt(2)), 24_000))
    merged = merge([both, single], Target.WAV, tmp_path / "all.wav", loudness=None)
    samples, rate = heard(tmp_path / "all.wav").samples, merged.sample_rate
    first, second = (samples[:, round(slot.start * rate) : round(slot.end * rate)] for slot in merged.slots)
    assert np.sqrt(np.mean(second**2)) == pytest.approx(np.sqrt(np.mean(first**2)), rel=0.01)


def test_without_a_loudness_samples_stay_as_they_are(tmp_path: Path) -> None:
    samples = np.random.default_rng(1).uniform(-0.99, 0.99, RATE)
    merged = merge(one(tmp_path, samples), Target.WAV, tmp_path / "all.wav", loudness=None)
    assert (merged.loudness, merged.gain) == (None, 0)
    assert np.abs(heard(tmp_path / "all.wav").samples[0] * 32768 - np.frombuffer(s16(samples), "<i2")).max() <= 1


# Loudness.


def peaky() -> Samples:
    """Quiet words between loud knocks: what a limiter takes away counts."""
    words = speech(0.3)
    moments = np.arange(len(words)) / 24_000
    return words + 0.9 * np.sin(2 * np.pi * 900 * moments) * (moments % 0.4 < 0.004)


def speech(factor: float) -> Samples:
    voice = np.frombuffer(spoken(" ".join(SCRIPT[:3])), "<i2") / 32768
    return voice * factor


MATERIAL: dict[str, tuple[Callable[[], Samples], int]] = {
    "quiet": (lambda: speech(0.01), 24_000),
    "loud": (lambda: np.clip(speech(30), -1, 1), 24_000),
    "speech": (lambda: speech(1), 24_000),
    "peaky": (peaky, 24_000),
    "tone": (lambda: 0.5 * np.sin(np.arange(5 * 44_100) / 10), 44_100),
    # Its samples miss the true peaks by 3 dB.
    "between": (lambda: 0.7 * np.sin(np.pi / 2 * np.arange(5 * RATE) + np.pi / 4), RATE),
}


@pytest.mark.parametrize("target", [Target.WAV, Target.OPUS, Target.MP3, Target.M4B])
@pytest.mark.parametrize("name", MATERIAL)
def test_loudness_and_peaks(name: str, target: Target, tmp_path: Path) -> None:
    make, rate = MATERIAL[name]
    path = tmp_path / f"all.{target}"
    merged = merge(one(tmp_path, make(), rate), target, path)
    found = heard(path)
    assert found.loudness == pytest.approx(-16, abs=1)
    assert merged.loudness == pytest.approx(found.loudness, abs=0.1 if target.is_lossless else 0.5)
    assert found.true_peak < -0.5


@pytest.mark.parametrize("wanted", [-36.0, -23.0, -12.0])
def test_other_loudness(wanted: float, tmp_path: Path) -> None:
    merge(one(tmp_path, speech(1), 24_000), Target.FLAC, tmp_path / "all.flac", loudness=wanted)
    found = heard(tmp_path / "all.flac")
    assert found.loudness == pytest.approx(wanted, abs=1) and found.true_peak < -0.5


def test_silence_stays_silent(tmp_path: Path) -> None:
    merged = merge(one(tmp_path, np.zeros(RATE)), Target.WAV, tmp_path / "all.wav")
    assert (merged.loudness, merged.gain, merged.duration) == (None, 0, 1)
    assert not heard(tmp_path / "all.wav").samples.any()


def test_what_is_no_number_spoils_nothing(tmp_path: Path) -> None:
    floats = np.full(RATE, np.nan, "<f4")
    broken = written(tmp_path, 2, AudioFormat.WAV, wav_file(floats.tobytes(), RATE, encoding=3, bits=32))
    merge([*one(tmp_path, speech(1), 24_000), broken], Target.WAV, tmp_path / "all.wav")
    found = heard(tmp_path / "all.wav")
    assert np.isfinite(found.samples).all() and found.loudness == pytest.approx(-16, abs=1)


# Places.


@pytest.mark.parametrize("target", Target)
def test_nothing_drifts(target: Target, tmp_path: Path) -> None:
    """Hundreds of short files: every click is where the timeline has it, up to the last."""
    sources = clicks(tmp_path, MIXED, seconds=0.8, gap=0.2001)
    parts = [sources[number % len(sources)] for number in range(400)]
    path = tmp_path / f"all.{target}"
    merged = merge(parts, target, path, sample_rate=24_000)
    found = heard(path)
    assert merged.slots == sorted(merged.slots, key=lambda slot: slot.start) and len(merged.slots) == 400
    assert merged.duration > 400
    drifts = [found.click_after(slot.start) - slot.start for slot in merged.slots]
    assert max(map(abs, drifts)) < 0.003
    assert found.seconds == pytest.approx(merged.duration, abs=0.001)


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
def test_a_part_is_exactly_as_long_as_its_file(rate: int, tmp_path: Path) -> None:
    sources = [one(tmp_path, 0.1 * np.sin(np.arange(length) / 5), rate)[0] for length in (rate + 1,)]
    merged = merge(sources * 50, Target.WAV, tmp_path / "all.wav", sample_rate=RATE)
    length = round((rate + 1) * RATE / rate)
    assert [slot.start * RATE for slot in merged.slots] == pytest.approx([number * length for number in range(50)])
    assert heard(tmp_path / "all.wav").samples.shape == (1, 50 * length)


def test_the_timeline_alone_is_that_of_the_merged_file(tmp_path: Path) -> None:
    parts = script_files(tmp_path)
    told: list[float] = []
    slots = timeline(parts, progress=told.append)
    assert slots == merge(parts, Target.FLAC, tmp_path / "all.flac").slots
    assert told[-1] == 1
    for slot, other in zip(slots, merge(parts, Target.M4B, tmp_path / "a", sample_rate=44_100).slots, strict=True):
        assert slot.start == pytest.approx(other.start, abs=0.001)


@pytest.mark.parametrize("target", [Target.M4B, Target.MP3, Target.OPUS, Target.FLAC])
def test_chapters(target: Target, tmp_path: Path) -> None:
    titles = ["", "One: “Fluß”", "", "Zwei", "三"]
    parts = [replace(part, chapter=title) for part, title in zip(clicks(tmp_path, MIXED), titles, strict=True)]
    path = tmp_path / f"all.{target}"
    slots = merge(parts, target, path, title="The book").slots
    found = chapters(path)
    assert [title for _, _, title in found] == ["The book", *filter(None, titles)]
    assert [start for start, _, _ in found] == pytest.approx([slots[at].start for at in (0, 1, 3, 4)], abs=0.001)
    assert [end for _, end, _ in found[:-1]] == [start for start, _, _ in found[1:]]


@pytest.mark.parametrize("target", LOSSY)
def test_without_titles_there_are_no_chapters(target: Target, tmp_path: Path) -> None:
    path = tmp_path / f"all.{target}"
    merge(clicks(tmp_path, MIXED), target, path)
    assert chapters(path) == []


def test_a_book_of_many_chapters(tmp_path: Path) -> None:
    """More than the older of two kinds of chapter list can hold, with titles that are longer."""
    (source,) = clicks(tmp_path, [(AudioFormat.WAV, 16_000)], seconds=0.3, gap=0.0)
    parts = [replace(source, chapter=f"Chapter {number} " + "ß" * 200) for number in range(300)]
    slots = merge(parts, Target.M4B, tmp_path / "all.m4b").slots
    found = chapters(tmp_path / "all.m4b")
    assert [title for _, _, title in found] == [part.chapter for part in parts]
    assert [start for start, _, _ in found] == pytest.approx([slot.start for slot in slots], abs=0.001)


def boxes(data: bytes) -> dict[bytes, bytes]:
    """The boxes of an MP4 file, by name."""
    found, at = {}, 0
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        size = struct.unpack_from(">Q", data, at + 8)[0] if size == 1 else size
        assert 8 <= size <= len(data) - at
        found[name] = data[at : at + size]
        at += size
    return found


def test_an_audiobook_has_its_index_in_front_and_both_kinds_of_chapters(tmp_path: Path) -> None:
    parts = [replace(part, chapter=part.name) for part in clicks(tmp_path, MIXED)]
    merge(parts, Target.M4B, tmp_path / "all.m4b")
    data = (tmp_path / "all.m4b").read_bytes()
    assert data[4:12] == b"ftypM4B "
    assert list(boxes(data)) == [b"ftyp", b"moov", b"free", b"mdat"]
    assert data.count(b"chpl") == data.count(b"chap") == 1


# What it needs.


def test_what_can_not_be_merged_is_refused(tmp_path: Path) -> None:
    parts = clicks(tmp_path, MIXED)
    path = tmp_path / "all.wav"
    with pytest.raises(InvalidRequest, match="nothing to merge"):
        merge([], Target.WAV, path)
    with pytest.raises(InvalidRequest, match="nothing to merge"):
        timeline([])
    for loudness in (-36.1, -11.9, float("nan")):
        with pytest.raises(InvalidRequest, match="Loudness must be from -36 to -12 LUFS"):
            merge(parts, Target.WAV, path, loudness=loudness)
    for gap in (-0.1, 601, float("nan")):
        with pytest.raises(InvalidRequest, match="A gap must be from 0 to 600 seconds"):
            merge([replace(parts[0], gap=gap)], Target.WAV, path)
    assert left(tmp_path) == set()


PLAYLIST = b"ffconcat version 1.0\nfile 'source-1.wav'\n"
BROKEN = [
    pytest.param(AudioFormat.WAV, b"", "not audio", id="empty"),
    pytest.param(AudioFormat.MP3, b"", "holds no sound", id="no frames"),
    pytest.param(AudioFormat.MP3, noise(5000), "", id="noise"),
    pytest.param(AudioFormat.FLAC, PLAYLIST, "not audio", id="playlist"),
    pytest.param(AudioFormat.WAV, wav_file(tone(24_000, 1), 24_000)[:-20_000], "cut off", id="wav cut off"),
    pytest.param(AudioFormat.OPUS, encode(tone(24_000, 1), 24_000, AudioFormat.OPUS)[:-500], "cut off", id="opus"),
    pytest.param(AudioFormat.FLAC, encode(tone(24_000, 1), 24_000, AudioFormat.FLAC)[:-2000], "cut off", id="flac"),
    pytest.param(AudioFormat.MP3, encode(tone(24_000, 1), 24_000, AudioFormat.MP3)[:-2000], "cut off", id="mp3"),
    pytest.param(AudioFormat.PCM, b'{"error": "no such voice"}', "sent text", id="text"),
]


@pytest.mark.parametrize(("format", "content", "why"), BROKEN)
def test_a_broken_part_is_named(format: AudioFormat, content: bytes, why: str, tmp_path: Path) -> None:
    parts = [*clicks(tmp_path, MIXED[:2]), written(tmp_path, 7, format, content)]
    with pytest.raises(BadPart, match=f"Line 7: .*{why}") as caught:
        merge(parts, Target.MP3, tmp_path / "all.mp3")
    assert caught.value.part == 2
    with pytest.raises(BadPart, match="Line 7: "):
        timeline(parts)
    assert left(tmp_path) == set()


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    parts = clicks(tmp_path, MIXED)
    parts[3].path.unlink()
    with pytest.raises(BadPart, match="Line 3: Its file can't be read: No such file") as caught:
        merge(parts, Target.WAV, tmp_path / "all.wav")
    assert caught.value.part == 3 and left(tmp_path) == set()


def test_a_wav_file_whose_writer_did_not_know_its_length(tmp_path: Path) -> None:
    streamed = [
        wav_file(tone(24_000, 1), 24_000, data_size=size, riff_size=size) for size in (0, 0x7FFFF000, 2**32 - 1)
    ]
    parts = [written(tmp_path, number, AudioFormat.WAV, content) for number, content in enumerate(streamed)]
    slots = merge(parts, Target.WAV, tmp_path / "all.wav").slots
    assert [slot.end - slot.start for slot in slots] == pytest.approx([1, 1, 1])


# Progress, and the end before the end.


def test_progress_only_grows_and_ends_at_one(tmp_path: Path) -> None:
    told: list[float] = []
    merge(clicks(tmp_path, MIXED) * 10, Target.MP3, tmp_path / "all.mp3", progress=told.append)
    assert told[0] == 0 and told[-1] == 1 and told == sorted(set(told))
    assert 50 < len(told) <= 501


@pytest.mark.parametrize("target", Target)
@pytest.mark.parametrize("calls", [0, 3, 60, 300])
def test_cancelled_it_leaves_nothing(target: Target, calls: int, tmp_path: Path) -> None:
    """Before anything, while looking, while measuring, while writing."""
    told: list[float] = []
    path = tmp_path / f"all.{target}"
    with pytest.raises(Cancelled) as caught:
        merge(clicks(tmp_path, MIXED) * 10, target, path, progress=told.append, cancelled=after(calls))
    assert isinstance(caught.value, SpeechError)
    assert left(tmp_path) == set()
    assert not told or told[-1] < 1
    assert (calls == 300) == bool(told and told[-1] > 0.4)


def test_cancelled_it_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "all.wav"
    path.write_bytes(b"the one before")
    with pytest.raises(Cancelled):
        merge(clicks(tmp_path, MIXED) * 10, Target.WAV, path, cancelled=after(300))
    assert path.read_bytes() == b"the one before" and left(tmp_path) == {"all.wav"}
    merge(clicks(tmp_path, MIXED), Target.WAV, path)
    assert path.read_bytes()[:4] == b"RIFF" and path.stat().st_mode & 0o777 == 0o600


def test_a_long_part_is_cancelled_too(tmp_path: Path) -> None:
    """Asked at least once a second of sound, not once a file."""
    asked = 0

    def count() -> bool:
        nonlocal asked
        asked += 1
        return False

    merge(one(tmp_path, 0.1 * np.sin(np.arange(60 * 16_000) / 9), 16_000), Target.WAV, tmp_path / "a", cancelled=count)
    assert asked >= 2 * 60


@pytest.mark.parametrize("seconds", [[0.5], [0.001], [0.001, 0.2]])
@pytest.mark.parametrize("target", Target)
def test_very_short_ones(target: Target, seconds: Sequence[float], tmp_path: Path) -> None:
    parts = [
        written(tmp_path, number, AudioFormat.WAV, wav_file(tone(24_000, length), 24_000), 0.0)
        for number, length in enumerate(seconds)
    ]
    path = tmp_path / f"all.{target}"
    merge(parts, target, path)
    assert heard(path).seconds == pytest.approx(sum(seconds), abs=0.001)


def test_what_was_written_is_read_from_memory_as_well(tmp_path: Path) -> None:
    """A player that gets it over the network needs nothing but the bytes."""
    merge(clicks(tmp_path, MIXED), Target.M4B, tmp_path / "all.m4b")
    with av.open(io.BytesIO((tmp_path / "all.m4b").read_bytes()), "r") as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        assert sum(frame.samples for frame in container.decode(audio=0)) >= 14 * RATE


# A picture.


@pytest.mark.parametrize("target", [Target.M4B, Target.MP3, Target.FLAC, Target.OPUS])
def test_a_cover_comes_back(target: Target, tmp_path: Path) -> None:
    cover, path = picture("JPEG", (300, 400)), tmp_path / f"all.{target}"
    parts = [replace(part, chapter=part.name) for part in clicks(tmp_path, MIXED)]
    merged = merge(parts, target, path, title="The book", author="村上", cover=cover)
    with av.open(path) as container:
        (stream,) = container.streams.video
        assert stream.disposition & Disposition.attached_pic
        assert (stream.codec_context.name, stream.width, stream.height) == ("mjpeg", 300, 400)
        assert next(bytes(packet) for packet in container.demux(stream) if packet.size) == cover
    assert len(chapters(path)) == len(parts), "beside all else"
    assert heard(path).seconds == pytest.approx(merged.duration, abs=0.001)


def test_a_file_that_holds_no_picture_is_written_without(tmp_path: Path) -> None:
    merge(clicks(tmp_path, MIXED), Target.WAV, tmp_path / "all.wav", cover=picture("JPEG"))
    with av.open(tmp_path / "all.wav") as container:
        assert not container.streams.video
