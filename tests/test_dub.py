"""The engine of dubs: when speech is heard, how loud, over what; and the film that gets it as a track."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from av.rational import AVRational
from numpy.typing import NDArray

from providers.audio import (
    BadPart,
    Cancelled,
    Film,
    FilmLabel,
    Part,
    Target,
    encode,
    probe_footage,
    write_dub,
    write_film,
)
from providers.audio.dub import Background, Dub, Speech
from providers.errors import BadAudio, InvalidRequest
from providers.speech import AudioFormat
from tests.films import (
    FRAME_RATE,
    RATE,
    clock_of,
    film,
    onset,
    packets,
    pitched,
    rms,
    sound,
    tracks,
)
from tests.recordings import after
from tests.sounds import muxed, tone, wav_file

LABEL = FilmLabel("Deutsch", "de")
CUES = 100
MINUTES = 10
# Of the voice, which the film has nothing of.
VOICE = 1000.0


def speech(
    folder: Path,
    start: float,
    *,
    seconds: float = 1.0,
    stretch: float = 1.0,
    hertz: float = VOICE,
    amplitude: int = 8000,
) -> Speech:
    path = folder / f"{hertz:g}-{seconds:g}-{amplitude}.wav"
    if not path.exists():
        path.write_bytes(wav_file(tone(24_000, seconds, hertz, amplitude), 24_000))
    return Speech(Part(path, AudioFormat.WAV, f"At {start:g}"), start, stretch)


def over(path: Path, gain_db: float | None = 0.0) -> Background:
    return Background(path, probe_footage(path), gain_db)


def heard(dub: Dub, folder: Path, target: Target = Target.WAV) -> NDArray[np.float64]:
    path = folder / f"dub.{target}"
    write_dub(dub, target, path)
    return sound(path)


# A film of ten minutes.


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("long"), MINUTES * 60, every=60, level=0.0)


@pytest.fixture(scope="module")
def dubbed(long_film: Path) -> Path:
    path = long_film.with_name("dubbed.mp4")
    write_film(Dub(cues(long_film.parent), over(long_film, -12.0), title="Ein Film"), LABEL, path)
    return path


def cues(folder: Path) -> Sequence[Speech]:
    """Every six seconds and a little more, some of them stretched, and the last shortly before the end."""
    starts = [round(number * 5.987 + 0.321, 3) for number in range(CUES - 1)]
    made = [speech(folder, start, stretch=1.2 if place % 3 == 2 else 1.0) for place, start in enumerate(starts)]
    return [*made, speech(folder, MINUTES * 60 - 2.5)]


def test_every_cue_of_ten_minutes_starts_within_a_frame_of_its_time(dubbed: Path, long_film: Path) -> None:
    samples = sound(dubbed, 1)
    late = [onset(samples, VOICE, one.start) - one.start for one in cues(long_film.parent)]
    assert len(late) == CUES
    assert max(map(abs, late)) < 1 / FRAME_RATE, "within a frame"
    assert max(map(abs, late)) < 0.01, "and much nearer than that"
    assert abs(np.mean(late[-10:]) - np.mean(late[:10])) < 0.002, "no drift"


def test_the_last_cue_is_as_loud_as_the_first(dubbed: Path, long_film: Path) -> None:
    samples = sound(dubbed, 1)
    levels = [pitched(samples, VOICE, one.start + 0.1, one.start + 0.7) for one in cues(long_film.parent)]
    assert max(levels) / min(levels) < 1.06, "half a decibel"


def test_the_picture_of_ten_minutes_is_the_same_to_the_bit(dubbed: Path, long_film: Path) -> None:
    assert len(packets(long_film)) == MINUTES * 60 * FRAME_RATE
    assert packets(dubbed) == packets(long_film)
    assert packets(dubbed, "audio") == packets(long_film, "audio"), "the sound that was there, too"


def test_the_clock_in_the_picture_goes_with_the_clicks_in_the_sound(dubbed: Path) -> None:
    shown = dict(clock_of(dubbed))
    assert all(number == round(time * FRAME_RATE) for time, number in shown.items())
    samples = sound(dubbed, 1)
    for minute in range(MINUTES):
        window = np.abs(samples[max(minute * 60 * RATE - 2400, 0) :][:4800])
        click = max(minute * 60 - 0.05, 0) + int(np.argmax(window)) / RATE
        assert click == pytest.approx(minute * 60, abs=0.005), minute


def test_tracks_have_their_languages_and_titles(dubbed: Path) -> None:
    assert tracks(dubbed) == [
        ("video", "und", ""),
        ("audio", "eng", "English"),
        ("audio", "deu", "Deutsch"),
    ]


# Films of a few seconds.


@pytest.mark.parametrize("container", list(Film))
@pytest.mark.parametrize("replacing", [False, True])
def test_each_container_keeps_what_it_has_to_the_bit(container: Film, replacing: bool, tmp_path: Path) -> None:
    source, made = film(tmp_path, 6, container=container), tmp_path / f"made.{container}"
    label = FilmLabel("Deutsch", "de", replacing=replacing)
    done = write_film(Dub([speech(tmp_path, 2.345)], over(source)), label, made)
    assert done.duration == pytest.approx(6, abs=0.05)
    assert packets(made) == packets(source) and len(packets(made)) == 60
    languages = [(kind, language) for kind, language, _title in tracks(made)[1:]]
    german = "ger" if container is not Film.MP4 else "deu"
    assert languages == ([("audio", german)] if replacing else [("audio", "eng"), ("audio", german)])
    if not replacing:
        assert packets(made, "audio") == packets(source, "audio")
    samples = sound(made, 0 if replacing else 1)
    assert onset(samples, VOICE, 2.345) == pytest.approx(2.345, abs=0.01)
    assert len(samples) / RATE == pytest.approx(6, abs=0.1)
    assert probe_footage(made).frame_rate == FRAME_RATE, "it can be dubbed again"


def test_the_dub_is_what_players_play_first(tmp_path: Path) -> None:
    source, made = film(tmp_path, 2, container="mkv"), tmp_path / "made.mkv"
    write_film(Dub([speech(tmp_path, 0.5)], over(source)), LABEL, made)
    with av.open(str(made)) as media:
        assert [bool(one.disposition & 1) for one in media.streams.audio] == [False, True]
        assert {name.lower(): value for name, value in media.metadata.items()}["title"] == "A film"


def test_a_film_without_sound_gets_the_speech_alone(tmp_path: Path) -> None:
    source, made = film(tmp_path, 3, sound=False), tmp_path / "made.mp4"
    background = over(source, -12.0)
    assert not background.info.has_sound
    done = write_film(Dub([speech(tmp_path, 1.5)], background), LABEL, made)
    assert (done.channels, [kind for kind, _language, _title in tracks(made)]) == (1, ["video", "audio"])
    samples = sound(made)
    assert rms(samples, 0.2, 1.3) < 1e-4 and pitched(samples, VOICE, 1.6, 2.4) > 0.1


def test_subtitles_and_chapters_stay(tmp_path: Path) -> None:
    source, titled, made = film(tmp_path, 3, container="mkv"), tmp_path / "titled.mkv", tmp_path / "made.mkv"
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    with av.open(str(source)) as media, av.open(str(words)) as text, av.open(str(titled), "w") as both:
        streams = [*media.streams, text.streams.subtitles[0]]
        copies = [both.add_stream_from_template(one, opaque=True) for one in streams]
        once = AVRational(1, 1)
        both.set_chapters([{"id": 1, "start": 0, "end": 2, "time_base": once, "metadata": {"title": "One"}}])
        for number, packet in [(2, one) for one in text.demux()] + [(one.stream.index, one) for one in media.demux()]:
            if packet.size:
                packet.stream = copies[number]
                both.mux(packet)
    write_film(Dub([speech(tmp_path, 0.5)], over(titled)), LABEL, made)
    assert [kind for kind, _language, _title in tracks(made)] == ["video", "audio", "subtitle", "audio"]
    assert [one.content for one in packets(made, "subtitle")] == [b"Hello"]
    with av.open(str(made)) as media:
        assert [chapter["metadata"]["title"] for chapter in media.chapters()] == ["One"]


# What is heard of the sound that was there.


def test_the_original_is_lowered_under_speech_and_comes_back(tmp_path: Path) -> None:
    source = film(tmp_path, 8, every=100)
    kept = heard(Dub([speech(tmp_path, 3, seconds=2)], over(source)), tmp_path)
    ducked = heard(Dub([speech(tmp_path, 3, seconds=2)], over(source, -12.0)), tmp_path)
    off = heard(Dub([speech(tmp_path, 3, seconds=2)], over(source, None)), tmp_path)
    for start in (1, 3.5, 6.5):
        assert pitched(kept, 220, start, start + 1) == pytest.approx(0.1, rel=0.05)
        assert pitched(off, 220, start, start + 1) < 0.001
    assert pitched(ducked, 220, 3.5, 4.5) == pytest.approx(0.1 * 10 ** (-12 / 20), rel=0.05)
    for start in (1, 6.5):
        assert pitched(ducked, 220, start, start + 1) == pytest.approx(0.1, rel=0.05)
    assert len(kept) == len(ducked) == len(off) == 8 * RATE


def test_the_original_stays_low_in_a_short_pause(tmp_path: Path) -> None:
    source = film(tmp_path, 8, every=100)
    ducked = heard(
        Dub([speech(tmp_path, 2), speech(tmp_path, 3.5), speech(tmp_path, 6.5)], over(source, -20)), tmp_path
    )
    assert pitched(ducked, 220, 3.1, 3.4) == pytest.approx(0.01, rel=0.1)
    assert pitched(ducked, 220, 5.2, 6.1) == pytest.approx(0.1, rel=0.1)


def test_ramps_are_no_steps(tmp_path: Path) -> None:
    source = film(tmp_path, 6, every=100)
    ducked = heard(Dub([speech(tmp_path, 3, amplitude=1)], over(source, -20), loudness=None), tmp_path)
    heights = [pitched(ducked, 220, start, start + 1 / 22) for start in np.arange(2.5, 5, 1 / 22)]
    assert max(abs(one - following) for one, following in zip(heights, heights[1:], strict=False)) < 0.05


# How loud.


def test_many_at_once_are_as_loud_as_each_alone(tmp_path: Path) -> None:
    pitches = [600 + 100 * number for number in range(12)]
    voices = [speech(tmp_path, 1, hertz=pitch, seconds=2, amplitude=1500) for pitch in pitches]
    together = heard(Dub(voices, loudness=None), tmp_path)
    alone = heard(Dub(voices[:1], loudness=None), tmp_path)
    for pitch in pitches:
        assert pitched(together, pitch, 1.2, 2.8) == pytest.approx(pitched(alone, 600, 1.2, 2.8), rel=0.03)


def test_what_would_go_too_high_is_limited(tmp_path: Path) -> None:
    voices = [speech(tmp_path, 1, hertz=600 + 100 * number, amplitude=20_000) for number in range(6)]
    samples = heard(Dub(voices, loudness=None), tmp_path)
    assert 0.5 < np.abs(samples).max() < 0.9


@pytest.mark.parametrize("loudness", [-16.0, -23.0])
def test_speech_is_as_loud_as_asked_whatever_it_is_laid_over(loudness: float, tmp_path: Path) -> None:
    source = film(tmp_path, 6, every=100)
    voice = [speech(tmp_path, 1, seconds=4, amplitude=600)]
    for background in (None, over(source)):
        samples = heard(Dub(voice, background, loudness), tmp_path)
        # A full wave of 1 kHz on both sides is 0 LUFS, on one side it is half of that.
        height = 10 ** ((loudness + (0.0 if background else 3.01)) / 20)
        assert pitched(samples, VOICE, 2, 4) == pytest.approx(height, rel=0.12)


# Times.


def test_stretched_speech_is_shorter_and_keeps_its_pitch(tmp_path: Path) -> None:
    samples = heard(Dub([speech(tmp_path, 1, seconds=2.4, stretch=1.2)]), tmp_path)
    assert len(samples) / RATE == pytest.approx(3, abs=0.001)
    assert pitched(samples, VOICE, 1.2, 2.8) > 0.8 * np.sqrt(2) * rms(samples, 1.2, 2.8)


def test_speech_goes_on_behind_the_end_of_the_footage(tmp_path: Path) -> None:
    source = film(tmp_path, 3)
    samples = heard(Dub([speech(tmp_path, 2.5, seconds=2)], over(source)), tmp_path)
    assert len(samples) / RATE == pytest.approx(4.5, abs=0.001) and pitched(samples, VOICE, 3.5, 4.4) > 0.05


def test_speeches_come_in_any_order(tmp_path: Path) -> None:
    starts = (4.2, 0.7, 2.9)
    samples = heard(Dub([speech(tmp_path, start, seconds=0.5) for start in starts]), tmp_path)
    for start in starts:
        assert onset(samples, VOICE, start) == pytest.approx(start, abs=0.01)


@pytest.mark.parametrize("target", Target)
def test_every_format_of_sound(target: Target, tmp_path: Path) -> None:
    source = film(tmp_path, 4)
    samples = heard(Dub([speech(tmp_path, 1.5)], over(source, -12.0)), tmp_path, target)
    assert len(samples) / RATE == pytest.approx(4, abs=0.06)
    assert onset(samples, VOICE, 1.5) == pytest.approx(1.5, abs=0.06 if target is Target.MP3 else 0.01)


def test_sound_that_begins_late_stays_late(tmp_path: Path) -> None:
    """As where a camera's microphone was switched on later."""
    path = tmp_path / "late.mkv"
    source = film(tmp_path, 4, container="mkv", every=100)
    with av.open(str(source)) as media, av.open(str(path), "w", format="matroska") as made:
        copies = {one.index: made.add_stream_from_template(one, opaque=True) for one in media.streams}
        for packet in media.demux():
            if not packet.size:
                continue
            if packet.stream.type == "audio" and packet.pts is not None:
                packet.pts += 1500
                packet.dts = packet.pts
            packet.stream = copies[packet.stream.index]
            made.mux(packet)
    samples = heard(Dub([speech(tmp_path, 0.2, seconds=0.3)], over(path)), tmp_path)
    assert pitched(samples, 220, 0.6, 1.4) < 0.005 and pitched(samples, 220, 1.6, 3.9) == pytest.approx(0.1, rel=0.1)
    assert np.flatnonzero(np.abs(samples[RATE:]) > 0.2)[0] / RATE == pytest.approx(0.5, abs=0.03), "the click"


# What can't be.


def test_without_speech_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        write_dub(Dub([]), Target.WAV, tmp_path / "no.wav")
    voice = [speech(tmp_path, 1)]
    source = tmp_path / "sound.wav"
    source.write_bytes(wav_file(tone(24_000, 3), 24_000))
    for background in (None, over(source)):
        with pytest.raises(InvalidRequest):
            write_film(Dub(voice, background), LABEL, tmp_path / "no.mp4")
    assert not list(tmp_path.glob("no.*"))


def test_what_is_cancelled_or_broken_leaves_nothing(tmp_path: Path) -> None:
    source, made = film(tmp_path, 5), tmp_path / "made.mp4"
    with pytest.raises(Cancelled):
        write_film(Dub([speech(tmp_path, 1)], over(source)), LABEL, made, cancelled=after(6))
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF" + bytes(40))
    with pytest.raises(BadPart) as raised:
        bad = Speech(Part(broken, AudioFormat.WAV, "Line 2"), 3)
        write_film(Dub([speech(tmp_path, 1), bad], over(source)), LABEL, made)
    assert raised.value.part == 1 and "Line 2" in raised.value.message
    assert not list(tmp_path.glob("made.*"))


def test_progress_is_told_to_the_end(tmp_path: Path) -> None:
    told: list[float] = []
    source = film(tmp_path, 5)
    write_film(Dub([speech(tmp_path, 1)], over(source)), LABEL, tmp_path / "made.mp4", progress=told.append)
    assert told == sorted(told) and told[-1] == 1 and len(told) > 5


# What footage is.


@pytest.mark.parametrize("container", list(Film))
def test_a_film_is_known_by_what_it_holds(container: Film, tmp_path: Path) -> None:
    disguised = film(tmp_path, 4, container=container).rename(tmp_path / "film.txt")
    info = probe_footage(disguised)
    assert (info.container, info.frame_rate, info.channels) == (container, FRAME_RATE, 2)
    assert info.duration == pytest.approx(4, abs=0.05)


@pytest.mark.parametrize("container", list(Film))
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_film_that_is_cut_off_is_refused(container: Film, share: float, tmp_path: Path) -> None:
    path = film(tmp_path, 30, container=container)
    whole = path.read_bytes()
    path.write_bytes(whole[: round(len(whole) * share)])
    with pytest.raises(BadAudio) as raised:
        probe_footage(path)
    assert "cut off" in raised.value.message


def test_a_film_whose_index_stands_first_is_refused_where_it_is_cut_off(tmp_path: Path) -> None:
    source, front = film(tmp_path, 30), tmp_path / "front.mp4"
    with av.open(str(source)) as media, av.open(str(front), "w", options={"movflags": "faststart"}) as made:
        copies = {one.index: made.add_stream_from_template(one, opaque=True) for one in media.streams}
        for packet in media.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                made.mux(packet)
    assert probe_footage(front).duration == pytest.approx(30, abs=0.1)
    front.write_bytes(front.read_bytes()[: front.stat().st_size // 2])
    with pytest.raises(BadAudio) as raised:
        probe_footage(front)
    assert "cut off" in raised.value.message


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"ffconcat version 1.0\nfile '/etc/passwd'\n", id="ffconcat"),
        pytest.param(b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", id="m3u8"),
        pytest.param(b"<html>Not found</html>", id="page"),
        pytest.param(b'{"error": "no"}', id="json"),
        pytest.param(bytes(4096), id="zeros"),
        pytest.param(b"RIFF\x24\0\0\0AVI LIST", id="avi"),
    ],
)
def test_what_is_no_recording_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(BadAudio) as raised:
        probe_footage(path)
    assert "no recording" in raised.value.message


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", id="mp4"),
        pytest.param(b"\x1a\x45\xdf\xa3" + bytes(60), id="matroska"),
    ],
)
def test_what_only_begins_like_a_film_is_refused(head: bytes, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(head + b"#EXTM3U\nfile:///etc/passwd\n" * 100)
    with pytest.raises(BadAudio):
        probe_footage(path)


@pytest.mark.parametrize("format", [one for one in AudioFormat if one is not AudioFormat.PCM])
def test_sound_alone_is_footage_too(format: AudioFormat, tmp_path: Path) -> None:
    path = tmp_path / "sound"
    path.write_bytes(encode(tone(48_000, 5), 48_000, format))
    info = probe_footage(path)
    assert (info.container, info.frame_rate, info.channels) == (format, None, 1)
    assert info.duration == pytest.approx(5, abs=0.1)
    samples = heard(Dub([speech(tmp_path, 1)], over(path), loudness=None), tmp_path)
    assert len(samples) / RATE == pytest.approx(5, abs=0.1) and pitched(samples, 440, 3, 4) > 0.1


def test_a_container_of_films_may_hold_sound_alone(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    path.write_bytes(muxed("ipod", "aac", tone(48_000, 3), 48_000))
    info = probe_footage(path)
    assert (info.container, info.frame_rate, info.has_sound) == (Film.MP4, None, True)
