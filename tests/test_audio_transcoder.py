from __future__ import annotations

import gc
import itertools
import random
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.audio import Transcoder, decode, encode, probe, wav_header
from providers.audio.mpeg import FrameSplitter, adts_frame_bytes
from providers.errors import BadAudio, InvalidRequest
from providers.speech import AudioFormat
from tests.hearing import assert_heard
from tests.sounds import (
    dominant_hertz,
    in_pieces,
    loudness,
    noise,
    samples_of,
    seconds_of,
    spoken,
    tone,
    transcoded,
    wav_file,
)

MP3, OPUS, AAC = AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.AAC
FLAC, WAV, PCM = AudioFormat.FLAC, AudioFormat.WAV, AudioFormat.PCM
FILES = [format for format in AudioFormat if format is not PCM]
SENTENCE = "Please bring seven green apples and a loaf of bread from the market tomorrow morning."
JSON = b'{"error":{"message":"no such voice","type":"invalid_request_error"}}'
HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def source(format: AudioFormat, samples: bytes, sample_rate: int) -> bytes:
    return samples if format is PCM else encode(samples, sample_rate, format)


def heard(format: AudioFormat, answer: bytes) -> tuple[bytes, int]:
    return (answer, 24_000) if format is PCM else decode(answer)


class TestRoundTrips:
    @pytest.mark.parametrize(("given", "target"), list(itertools.product(AudioFormat, AudioFormat)))
    def test_any_format_becomes_any_other(self, given: AudioFormat, target: AudioFormat) -> None:
        samples = tone(24_000, 1.3)
        answer = transcoded(target, (given, source(given, samples, 24_000)), sample_rate=24_000)
        decoded, rate = heard(target, answer)
        # AAC in ADTS and a streamed MP3 can't say how much of them is the encoder's.
        slack = 0.05 * (given is AAC) + 0.06 * (target in (AAC, MP3)) + 0.001
        assert 1.299 <= seconds_of(decoded, rate) <= 1.3 + slack
        assert abs(dominant_hertz(decoded, rate) - 440) < 2
        # LAME leaves 5 % of headroom, each time.
        assert loudness(decoded) == pytest.approx(loudness(samples), rel=0.12)

    @pytest.mark.parametrize("sample_rate", [8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
    def test_all_formats_last_equally_long_streamed_and_whole(self, sample_rate: int) -> None:
        for seconds in (0.31, 1.0, 2.345):
            samples = tone(sample_rate, seconds)
            for target in AudioFormat:
                streamed = heard(target, transcoded(target, (PCM, samples), sample_rate=sample_rate))
                whole = heard(target, encode(samples, sample_rate, target))
                for decoded, rate in (streamed, whole):
                    assert -0.001 <= seconds_of(decoded, rate) - seconds <= 0.06, (target, seconds)

    @pytest.mark.parametrize("target", [PCM, WAV])
    def test_samples_pass_unchanged_where_nothing_is_to_be_done(self, target: AudioFormat) -> None:
        samples = noise(100_000)
        header = wav_header(24_000, None) if target is WAV else b""
        assert transcoded(target, (WAV, encode(samples, 24_000, WAV))) == header + samples
        assert transcoded(target, (FLAC, encode(samples, 24_000, FLAC))) == header + samples

    @pytest.mark.parametrize("given", FILES)
    def test_streamed_decoding_is_what_whole_decoding_gives(self, given: AudioFormat) -> None:
        file = encode(spoken(SENTENCE), 24_000, given)
        samples, rate = decode(file)
        answer = transcoded(WAV, (given, file))
        assert int.from_bytes(answer[24:28], "little") == rate
        assert answer[44:] == samples

    @pytest.mark.parametrize("given", [MP3, AAC])
    def test_streams_without_a_header_are_decoded_too(self, given: AudioFormat) -> None:
        file = transcoded(given, (PCM, tone(24_000, 1.0)), sample_rate=24_000)
        samples, rate = decode(file)
        assert transcoded(WAV, (given, file))[44:] == samples
        assert seconds_of(samples, rate) == pytest.approx(1.0, abs=0.06)

    @settings(max_examples=25, deadline=None)
    @given(cuts=st.lists(st.integers(0, 9000), max_size=40), format=st.sampled_from([*AudioFormat]))
    def test_the_way_the_bytes_are_cut_does_not_matter(self, cuts: list[int], format: AudioFormat) -> None:
        file = SOURCES[format]
        bounds = [0, *sorted(cut * len(file) // 9000 for cut in cuts), len(file)]
        transcoder = Transcoder(WAV)
        transcoder.start_file(format, 24_000)
        answer = b"".join(transcoder.feed(file[start:end]) for start, end in itertools.pairwise(bounds))
        answer += transcoder.end_file() + transcoder.finish()
        samples = file if format is PCM else decode(file)[0]
        assert answer[44:] == samples

    @pytest.mark.parametrize("target", AudioFormat)
    def test_speech_is_understood_after_streaming(self, target: AudioFormat) -> None:
        given = {MP3: FLAC, OPUS: WAV, AAC: PCM, FLAC: MP3, WAV: OPUS, PCM: AAC}[target]
        file = source(given, spoken(SENTENCE), 24_000)
        assert_heard(SENTENCE, transcoded(target, (given, file), sample_rate=24_000))


SOURCES = {format: source(format, tone(24_000, 0.4), 24_000) for format in AudioFormat}


class TestStreaming:
    @pytest.mark.parametrize("target", AudioFormat)
    def test_audio_leaves_while_more_is_awaited(self, target: AudioFormat) -> None:
        transcoder = Transcoder(target)
        transcoder.start_file(PCM, 24_000)
        so_far = b"".join(map(transcoder.feed, in_pieces(tone(24_000, 1.0), sizes=(4800,))))
        decoded, rate = heard(target, so_far)
        assert seconds_of(decoded, rate) > 0.6

    @pytest.mark.parametrize("given", [MP3, AAC, WAV, PCM])
    def test_what_came_is_decoded_before_the_rest_comes(self, given: AudioFormat) -> None:
        file = source(given, tone(24_000, 3.0), 24_000)
        transcoder = Transcoder(PCM)
        transcoder.start_file(given, 24_000)
        half = transcoder.feed(file[: len(file) // 2])
        assert seconds_of(half, 24_000) == pytest.approx(1.5, abs=0.2)

    def test_a_wav_stream_begins_with_its_44_bytes_and_the_first_samples(self) -> None:
        transcoder = Transcoder(WAV)
        transcoder.start_file(WAV)
        file = encode(tone(22_050, 0.5), 22_050, WAV)
        assert transcoder.feed(file[:30]) == b""
        assert transcoder.sample_rate == 0
        first = transcoder.feed(file[30:50])
        assert first == wav_header(22_050, None) + file[44:50]
        assert transcoder.sample_rate == 22_050

    def test_counts_what_it_produced(self) -> None:
        transcoder = Transcoder(MP3, speed=2.0)
        assert (transcoder.sample_rate, transcoder.samples_out, transcoder.seconds) == (0, 0, 0.0)
        transcoder.start_file(PCM, 16_000)
        transcoder.feed(tone(16_000, 1.0))
        transcoder.end_file()
        assert transcoder.sample_rate == 48_000
        assert transcoder.samples_out == 24_000
        assert transcoder.seconds == pytest.approx(0.5)

    @pytest.mark.parametrize("target", [WAV, MP3])
    @pytest.mark.parametrize("given", [WAV, PCM])
    def test_memory_does_not_grow_with_the_stream(self, given: AudioFormat, target: AudioFormat) -> None:
        second = tone(48_000, 1.0)
        transcoder = Transcoder(target)
        transcoder.start_file(given, 48_000)
        transcoder.feed(wav_header(48_000, None) if given is WAV else second)
        tracemalloc.start()
        try:
            for _ in range(150):
                transcoder.feed(second)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 12 * len(second)

    @pytest.mark.parametrize("target", AudioFormat)
    def test_an_abandoned_stream_leaves_quietly(self, target: AudioFormat, capfd: pytest.CaptureFixture[str]) -> None:
        transcoder = Transcoder(target, speed=1.5)
        transcoder.start_file(MP3)
        transcoder.feed(SOURCES[MP3][:2000])
        del transcoder
        gc.collect()
        assert capfd.readouterr() == ("", "")


class TestSpeed:
    @pytest.mark.parametrize("speed", [0.25, 0.5, 0.77, 0.999, 1.5, 2.0, 3.0, 4.0])
    @pytest.mark.parametrize("target", AudioFormat)
    def test_length_is_proportional_and_pitch_is_kept(self, target: AudioFormat, speed: float) -> None:
        answer = transcoded(target, (PCM, tone(24_000, 2.0)), sample_rate=24_000, speed=speed)
        decoded, rate = heard(target, answer)
        assert -0.001 <= seconds_of(decoded, rate) - 2.0 / speed <= 0.06
        assert abs(dominant_hertz(decoded, rate) - 440) < 4

    @settings(max_examples=25, deadline=None)
    @given(
        speed=st.floats(0.25, 4.0),
        samples=st.integers(1, 30_000),
        rate=st.sampled_from([16_000, 24_000, 48_000]),
    )
    def test_length_is_exact_for_any_speed(self, speed: float, samples: int, rate: int) -> None:
        transcoder = Transcoder(WAV, speed=speed)
        transcoder.start_file(PCM, rate)
        sound = tone(rate, samples / rate)
        answer = b"".join(map(transcoder.feed, in_pieces(sound, samples, sizes=(100, 5000))))
        answer += transcoder.end_file()
        wanted = round(samples / speed)
        assert len(answer) == (44 + 2 * wanted if wanted else 0)
        assert transcoder.samples_out == wanted

    @pytest.mark.parametrize("speed", [0.25, 0.6, 1.4, 4.0])
    def test_the_last_sound_is_not_lost(self, speed: float) -> None:
        click = bytes(2 * 24_000) + tone(24_000, 0.2, 1000)
        answer = transcoded(PCM, (PCM, click), sample_rate=24_000, speed=speed)
        tail = answer[-2 * round(24_000 * 0.03 / speed) :]
        assert loudness(tail) > 0.8 * loudness(tone(24_000, 0.2, 1000))

    def test_files_are_stretched_one_by_one(self) -> None:
        transcoder = Transcoder(PCM, speed=0.5)
        for number in range(1, 4):
            transcoder.start_file(PCM, 24_000)
            transcoder.feed(tone(24_000, 0.5))
            transcoder.end_file()
            assert transcoder.seconds == pytest.approx(number * 1.0, abs=0.001)

    def test_fast_speech_is_still_understood(self) -> None:
        answer = transcoded(WAV, (PCM, spoken(SENTENCE)), sample_rate=24_000, speed=1.4)
        assert_heard(SENTENCE, answer)

    @pytest.mark.parametrize("speed", [0.0, 0.24, 4.01, -1.0, float("nan")])
    def test_other_speeds_are_refused(self, speed: float) -> None:
        with pytest.raises(InvalidRequest) as refused:
            Transcoder(MP3, speed=speed)
        assert refused.value.param == "speed"


class TestGain:
    def test_makes_louder_and_softer(self) -> None:
        samples = tone(24_000, 1.0, amplitude=2000)
        for decibels in (-6.0, 6.0, 12.0):
            answer = transcoded(PCM, (PCM, samples), sample_rate=24_000, gain_db=decibels)
            assert loudness(answer) == pytest.approx(loudness(samples) * 10 ** (decibels / 20), rel=0.02)
            assert len(answer) == len(samples)

    def test_limits_peaks_instead_of_cutting_them(self) -> None:
        samples = tone(24_000, 1.0, amplitude=20_000)
        answer = transcoded(PCM, (PCM, samples), sample_rate=24_000, gain_db=12.0)
        assert np.abs(samples_of(answer)).max() <= 0.96 * 32_768
        assert np.count_nonzero(np.abs(samples_of(answer)) >= 32_767) == 0


class TestManyFiles:
    @pytest.mark.parametrize("target", AudioFormat)
    def test_pieces_follow_each_other(self, target: AudioFormat) -> None:
        notes = [300, 600, 900]
        files = [(WAV, encode(tone(24_000, 1.0, note), 24_000, WAV)) for note in notes]
        decoded, rate = heard(target, transcoded(target, *files))
        assert seconds_of(decoded, rate) == pytest.approx(3.0, abs=0.06)
        for number, note in enumerate(notes):
            middle = decoded[2 * round((number + 0.2) * rate) : 2 * round((number + 0.8) * rate)]
            assert abs(dominant_hertz(middle, rate) - note) < 5

    @pytest.mark.parametrize("target", AudioFormat)
    def test_formats_and_rates_may_differ_and_the_first_rate_is_kept(self, target: AudioFormat) -> None:
        files = [
            (WAV, encode(tone(22_050, 0.5), 22_050, WAV)),
            (MP3, encode(tone(44_100, 0.5), 44_100, MP3)),
            (OPUS, encode(tone(48_000, 0.5), 48_000, OPUS)),
            (PCM, tone(8000, 0.5)),
            (FLAC, encode(tone(96_000, 0.5), 96_000, FLAC)),
            (WAV, wav_file(np.repeat(samples_of(tone(16_000, 0.5)) / 32768, 2).astype("<f4").tobytes(), 16_000,
                           encoding=3, bits=32, channels=2)),
        ]  # fmt: skip
        transcoder, answer = Transcoder(target), b""
        for format, file in files:
            transcoder.start_file(format, 8000 if format is PCM else 0)
            answer += transcoder.feed(file) + transcoder.end_file()
        answer += transcoder.finish()
        decoded, rate = heard(target, answer)
        assert transcoder.seconds == pytest.approx(3.0, abs=0.005)
        assert seconds_of(decoded, rate) == pytest.approx(3.0, abs=0.06)
        assert abs(dominant_hertz(decoded, rate) - 440) < 2
        if target not in (PCM, OPUS):
            assert probe(answer).sample_rate == transcoder.sample_rate

    @pytest.mark.parametrize("given", [MP3, AAC, OPUS, FLAC])
    def test_files_back_to_back_in_one_body_are_all_there(self, given: AudioFormat) -> None:
        """GPT-SoVITS streams separately encoded pieces so."""
        body = b"".join(encode(tone(24_000, 1.0, note), 24_000, given) for note in (300, 600, 900))
        samples = transcoded(PCM, (given, body))
        assert seconds_of(samples, 24_000) == pytest.approx(3.0, abs=0.15)
        for number, note in enumerate((300, 600, 900)):
            middle = samples[2 * round((number + 0.3) * 24_000) : 2 * round((number + 0.7) * 24_000)]
            assert abs(dominant_hertz(middle, 24_000) - note) < 6

    def test_no_gap_and_no_click_between_pieces_of_samples(self) -> None:
        whole = tone(24_000, 2.0)
        cut = 2 * 24_000
        joined = transcoded(WAV, (PCM, whole[:cut]), (PCM, whole[cut:]), sample_rate=24_000)
        assert joined[44:] == whole

    def test_a_rate_that_changes_inside_a_file_is_followed(self) -> None:
        body = encode(tone(44_100, 1.0, 500), 44_100, MP3) + encode(tone(48_000, 1.0, 500), 48_000, MP3)
        samples = transcoded(PCM, (MP3, body))
        assert 2.0 <= seconds_of(samples, 24_000) <= 2.002
        assert abs(dominant_hertz(samples, 24_000) - 500) < 2


def consumed(format: AudioFormat, data: bytes, target: AudioFormat = MP3) -> None:
    transcoder = Transcoder(target)
    transcoder.start_file(format, 24_000)
    for piece in in_pieces(data):
        transcoder.feed(piece)
    transcoder.end_file()


def unseen_ends(format: AudioFormat, file: bytes) -> set[int]:
    """Where a file may end without anybody seeing that more should follow: between ADTS frames or Ogg pages."""
    if format is AAC:
        return set(itertools.accumulate(map(len, FrameSplitter(adts_frame_bytes).feed(file))))
    return {page.start() for page in re.finditer(b"OggS", file)} if format is OPUS else set()


class TestBadAudio:
    @pytest.mark.parametrize("format", AudioFormat)
    @pytest.mark.parametrize("data", [b"", JSON, HTML, b'{"error":1}', b"oops"])
    def test_text_and_nothing_are_refused(self, format: AudioFormat, data: bytes) -> None:
        with pytest.raises(BadAudio):
            consumed(format, data)

    @pytest.mark.parametrize("format", FILES)
    def test_noise_is_refused(self, format: AudioFormat) -> None:
        with pytest.raises(BadAudio):
            consumed(format, noise(20_000))
        with pytest.raises(BadAudio):
            consumed(format, SOURCES[format][:4] + noise(20_000))

    @pytest.mark.parametrize("format", FILES)
    def test_a_file_that_is_cut_off_is_refused(self, format: AudioFormat) -> None:
        file = encode(tone(24_000, 3.0), 24_000, format)
        ends = [1, 2, 3, 10, 300, len(file) // 2, len(file) - 5, *random.Random(3).sample(range(len(file)), 20)]
        for end in {len(file) - end for end in ends} - unseen_ends(format, file):
            with pytest.raises(BadAudio):
                consumed(format, file[:end])

    @pytest.mark.parametrize("format", [MP3, AAC, FLAC, OPUS])
    def test_a_stream_that_is_cut_off_is_refused(self, format: AudioFormat) -> None:
        """Its header does not say how long it is."""
        file = transcoded(format, (PCM, tone(24_000, 1.0)), sample_rate=24_000)
        consumed(format, file)
        for cut in (1, 3, 7, 60):
            with pytest.raises(BadAudio):
                consumed(format, file[:-cut])

    @pytest.mark.parametrize("format", FILES)
    def test_a_header_without_samples_is_refused(self, format: AudioFormat) -> None:
        head = {WAV: wav_header(24_000, None), MP3: SOURCES[MP3][:24]}.get(format, SOURCES[format][:60])
        with pytest.raises(BadAudio):
            consumed(format, head)

    def test_every_file_needs_sound(self) -> None:
        transcoder = Transcoder(MP3)
        transcoder.start_file(PCM, 24_000)
        transcoder.feed(tone(24_000, 0.5))
        transcoder.end_file()
        transcoder.start_file(WAV)
        transcoder.feed(wav_header(24_000, 0))
        with pytest.raises(BadAudio, match="no sound"):
            transcoder.end_file()

    def test_samples_without_a_rate_are_refused(self) -> None:
        with pytest.raises(BadAudio, match="rate"):
            Transcoder(MP3).start_file(PCM)

    def test_nothing_at_all_is_refused(self) -> None:
        with pytest.raises(BadAudio):
            Transcoder(MP3).finish()

    def test_bytes_before_a_file_began_are_a_mistake_of_the_caller(self) -> None:
        with pytest.raises(RuntimeError):
            Transcoder(MP3).feed(b"\0\0")

    @pytest.mark.parametrize("format", [OPUS, FLAC])
    def test_a_file_that_must_be_kept_whole_has_a_limit(self, format: AudioFormat) -> None:
        transcoder = Transcoder(MP3)
        transcoder.start_file(format)
        mebibyte = bytes(1 << 20)
        for _ in range(64):
            transcoder.feed(mebibyte)
        with pytest.raises(BadAudio, match="64 MB"):
            transcoder.feed(b"\0")

    @pytest.mark.parametrize("format", [MP3, AAC])
    def test_endless_junk_is_given_up(self, format: AudioFormat) -> None:
        transcoder = Transcoder(WAV)
        transcoder.start_file(format)
        with pytest.raises(BadAudio, match="No audio frames"):
            for _ in range(40):
                transcoder.feed(bytes(1 << 16))

    def test_playlists_are_refused_as_a_source(self) -> None:
        for format in FILES:
            with pytest.raises(BadAudio):
                consumed(format, b"ffconcat version 1.0\nfile secret.wav\n")

    def test_damage_never_raises_anything_else(self) -> None:
        chooser = random.Random(11)
        for format in FILES * 25:
            file = bytearray(SOURCES[format])
            for _ in range(chooser.choice([1, 5, 60])):
                file[chooser.randrange(len(file))] = chooser.randrange(256)
            transcoder = Transcoder(chooser.choice(list(AudioFormat)), speed=chooser.choice([1.0, 1.7]))
            transcoder.start_file(format)
            try:
                transcoder.feed(bytes(file))
                transcoder.end_file()
                assert transcoder.finish() is not None
            except BadAudio:
                continue
