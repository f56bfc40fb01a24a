from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import struct
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest

from providers.audio import (
    decode,
    encode,
    is_foreign,
    probe,
    sniff,
    target_sample_rate,
    to_reference_wav,
    to_wav,
    wav_header,
    wav_sizes_are_true,
)
from providers.audio.decoding import NO_PROTOCOLS
from providers.errors import BadAudio
from providers.speech import AudioFormat
from tests.hearing import assert_heard, transcribe, word_error_rate
from tests.sounds import (
    dominant_hertz,
    loudness,
    muxed,
    noise,
    samples_of,
    seconds_of,
    spoken,
    tone,
    wav_chunk,
    wav_file,
)

FILES = [format for format in AudioFormat if format is not AudioFormat.PCM]
RATES = (8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
SENTENCE = "The quick brown fox jumps over the lazy dog, and nobody in the village was surprised."
JSON = b'{"error":{"message":"no such voice","type":"invalid_request_error"}}'
OGG_HEAD = b"OggS\x00\x02" + bytes(20) + b"\x01\x1e"
FOREIGN = [("ogg", "vorbis"), ("ogg", "flac"), ("ipod", "aac"), ("mp4", "aac"), ("webm", "libopus")]
HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def stereo_wav(left: bytes, right: bytes, sample_rate: int) -> bytes:
    both = np.stack([np.frombuffer(left, "<i2"), np.frombuffer(right, "<i2")], axis=1)
    return wav_file(both.tobytes(), sample_rate, channels=2)


def silent_video() -> bytes:
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", 10, width=64, height=64, pix_fmt="yuv420p")
        assert isinstance(stream, av.VideoStream)
        for _ in range(3):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
        output.mux(stream.encode(None))
    return sink.getvalue()


class TestSniff:
    @pytest.mark.parametrize("format", FILES)
    def test_names_every_format_by_its_first_bytes(self, format: AudioFormat) -> None:
        assert sniff(encode(tone(24_000, 0.2), 24_000, format)[:16]) is format

    @pytest.mark.parametrize(
        ("head", "format"),
        [
            (b"ID3\x04\x00\x00\x00\x00\x00\x15TSSE", AudioFormat.MP3),
            (b"\xff\xfb\x90\x64", AudioFormat.MP3),
            (b"\xff\xf3\x84\xc4", AudioFormat.MP3),
            (b"\xff\xe3\x18\xc4", AudioFormat.MP3),
            (b"\xff\xf1\x50\x80", AudioFormat.AAC),
            (b"\xff\xf9\x50\x80", AudioFormat.AAC),
            (b"OggS\x00\x02", AudioFormat.OPUS),
            (OGG_HEAD + b"OpusHead\x01", AudioFormat.OPUS),
            (OGG_HEAD + b"\x01vorb", AudioFormat.OPUS),
            (b"fLaC\x00\x00", AudioFormat.FLAC),
        ],
    )
    def test_knows_the_magic_bytes(self, head: bytes, format: AudioFormat) -> None:
        assert sniff(head) is format

    @pytest.mark.parametrize(
        "head",
        [
            b"",
            b"\xff",
            b"\xff\xff\xff\xff",
            b"RIFF",
            b"RIFF\x00\x00\x00\x00AVI ",
            JSON,
            HTML,
            OGG_HEAD + b"\x01vorbis\x00",
            OGG_HEAD + b"\x7fFLAC\x01\x00\x00",
            OGG_HEAD + b"Speex   1.2",
            b"ffconcat version 1.0",
            b"#EXTM3U",
            b"\xff\xfd\x90\x64",
            b"\xff\xfb\x00\x64",
            b"\xff\xfb\xf0\x64",
            b"\xff\xfb\x9c\x64",
        ],
    )
    def test_knows_nothing_else(self, head: bytes) -> None:
        assert sniff(head) is None


class TestForeign:
    """What can be decoded, but is none of the formats that anybody asks for."""

    @pytest.mark.parametrize(("container", "codec"), FOREIGN)
    def test_becomes_a_whole_wav_file(self, container: str, codec: str) -> None:
        file = muxed(container, codec, tone(48_000, 1.0), 48_000)
        assert is_foreign(file[:45])
        wav = to_wav(file)
        info = probe(wav)
        assert (info.format, info.sample_rate, info.channels) == (AudioFormat.WAV, 48_000, 1)
        assert info.duration == pytest.approx(1.0, abs=0.05)
        assert abs(dominant_hertz(wav[44:], 48_000) - 440) < 2
        assert wav_sizes_are_true(wav)

    @pytest.mark.parametrize(("container", "codec"), FOREIGN)
    def test_a_part_of_one_is_bad_audio(self, container: str, codec: str) -> None:
        file = muxed(container, codec, tone(48_000, 1.0), 48_000)
        for size in (60, len(file) // 2, *([len(file) - 10] if container == "ogg" else [])):
            with pytest.raises(BadAudio):
                to_wav(file[:size])

    @pytest.mark.parametrize("format", FILES)
    def test_ours_is_none(self, format: AudioFormat) -> None:
        assert not is_foreign(encode(tone(24_000, 0.2), 24_000, format)[:45])

    @pytest.mark.parametrize("head", [b"", b"OggS", JSON, HTML, noise(45), bytes(45), b"ffconcat version 1.0"])
    def test_neither_is_what_is_no_audio(self, head: bytes) -> None:
        assert not is_foreign(head)


class TestWavHeader:
    def test_has_44_bytes_that_the_standard_library_reads(self) -> None:
        samples = tone(22_050, 0.1)
        header = wav_header(22_050, len(samples))
        assert len(header) == 44
        with wave.open(io.BytesIO(header + samples)) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 22_050)
            assert file.readframes(file.getnframes()) == samples

    def test_says_that_the_length_is_not_known(self) -> None:
        header = wav_header(24_000, None)
        assert len(header) == 44
        assert header[4:8] == header[40:44] == b"\xff\xff\xff\xff"
        assert int.from_bytes(header[24:28], "little") == 24_000

    def test_of_more_than_a_wav_can_hold_says_that_the_length_is_not_known(self) -> None:
        assert wav_header(24_000, 1 << 33) == wav_header(24_000, None)

    def test_true_sizes_are_told_from_placeholders(self) -> None:
        samples = tone(24_000, 0.1)
        assert wav_sizes_are_true(wav_header(24_000, len(samples)) + samples)
        extra = wav_chunk(b"LIST", b"INFOodd")
        assert wav_sizes_are_true(wav_file(samples, 24_000, before_data=extra, after_data=extra))
        assert not wav_sizes_are_true(wav_header(24_000, None) + samples)
        assert not wav_sizes_are_true(wav_file(samples, 24_000, data_size=0))
        assert not wav_sizes_are_true(wav_file(samples, 24_000, data_size=0x7FFFF000, riff_size=0x7FFFF024))
        assert not wav_sizes_are_true(wav_file(samples, 24_000, riff_size=36))
        assert not wav_sizes_are_true(wav_file(samples, 24_000)[:-100])
        assert not wav_sizes_are_true(wav_header(24_000, len(samples))[:40])


class TestEncode:
    @pytest.mark.parametrize("sample_rate", RATES)
    @pytest.mark.parametrize("format", FILES)
    def test_keeps_length_pitch_and_loudness(self, format: AudioFormat, sample_rate: int) -> None:
        samples = tone(sample_rate, 1.2345)
        decoded, decoded_rate = decode(encode(samples, sample_rate, format))
        # AAC in ADTS can't say how much of it is the encoder's.
        tolerance = 0.05 if format is AudioFormat.AAC else 0.001
        assert abs(seconds_of(decoded, decoded_rate) - 1.2345) <= tolerance
        assert seconds_of(decoded, decoded_rate) >= 1.2344
        assert abs(dominant_hertz(decoded, decoded_rate) - 440) < 2
        assert loudness(decoded) == pytest.approx(loudness(samples), rel=0.1)

    @pytest.mark.parametrize("format", [AudioFormat.WAV, AudioFormat.FLAC])
    def test_loses_nothing_where_the_format_loses_nothing(self, format: AudioFormat) -> None:
        samples = noise(50_000)
        assert decode(encode(samples, 24_000, format)) == (samples, 24_000)

    @pytest.mark.parametrize("sample_rate", RATES)
    def test_pcm_is_always_24_khz(self, sample_rate: int) -> None:
        samples = encode(tone(sample_rate, 1.0), sample_rate, AudioFormat.PCM)
        assert abs(len(samples) - 48_000) <= 2
        assert abs(dominant_hertz(samples, 24_000) - 440) < 2

    def test_wav_has_true_sizes(self) -> None:
        samples = tone(16_000, 0.7)
        file = encode(samples, 16_000, AudioFormat.WAV)
        assert wav_sizes_are_true(file)
        with wave.open(io.BytesIO(file)) as parsed:
            assert parsed.getframerate() == 16_000
            assert parsed.readframes(parsed.getnframes()) == samples

    def test_flac_header_counts_the_samples(self) -> None:
        file = encode(tone(24_000, 0.7), 24_000, AudioFormat.FLAC)
        total = int.from_bytes(file[8 + 13 : 8 + 18]) & ((1 << 36) - 1)
        assert total == 16_800

    @pytest.mark.parametrize("rate", [8000, 24_000, 96_000])
    @pytest.mark.parametrize("samples", [1, 4608, 4609, 100_000])
    def test_flac_header_describes_the_whole(self, rate: int, samples: int) -> None:
        pcm = tone(rate, 100_000 / rate)[: 2 * samples]
        file = encode(pcm, rate, AudioFormat.FLAC)
        assert file.startswith(b"fLaC\x80\x00\x00\x22"), "nothing but the description stands before the samples"
        assert int.from_bytes(file[18:21]) >> 4 == rate
        assert int.from_bytes(file[21:26]) & ((1 << 36) - 1) == samples
        assert file[26:42] == hashlib.md5(pcm).digest(), "players that check what they decoded find it whole"
        assert decode(file) == (pcm, rate)

    def test_flac_blocks_are_as_long_as_every_player_takes(self) -> None:
        file = encode(tone(24_000, 1.0), 24_000, AudioFormat.FLAC)
        assert int.from_bytes(file[10:12]) == 4608

    def test_mp3_header_counts_the_frames(self) -> None:
        file = encode(tone(24_000, 1.0), 24_000, AudioFormat.MP3)
        tag = max(file.find(b"Info"), file.find(b"Xing"))
        assert 0 < tag < 40
        with av.open(io.BytesIO(file), "r", format="mp3") as container:
            assert container.duration == pytest.approx(1_000_000, abs=60_000)

    @pytest.mark.parametrize("seconds", [0.001, 0.02, 0.11])
    @pytest.mark.parametrize("format", FILES)
    def test_a_very_short_sound_survives(self, format: AudioFormat, seconds: float) -> None:
        info = probe(encode(tone(24_000, seconds), 24_000, format))
        assert seconds - 0.001 <= info.duration <= seconds + 0.06

    @pytest.mark.parametrize("format", AudioFormat)
    @pytest.mark.parametrize("samples", [b"", b"\0"])
    def test_no_samples_are_bad_audio(self, format: AudioFormat, samples: bytes) -> None:
        with pytest.raises(BadAudio):
            encode(samples, 24_000, format)

    def test_speech_bit_rates_are_sensible(self) -> None:
        samples = tone(24_000, 10.0)
        kilobits = {format: len(encode(samples, 24_000, format)) * 8 / 10_000 for format in FILES}
        assert 90 <= kilobits[AudioFormat.MP3] <= 100
        assert 20 <= kilobits[AudioFormat.OPUS] <= 75
        assert 60 <= kilobits[AudioFormat.AAC] <= 130
        assert kilobits[AudioFormat.FLAC] < kilobits[AudioFormat.WAV]

    def test_threads_do_not_disturb_each_other(self) -> None:
        sounds = [tone(24_000, 1.0, 200 + 50 * number) for number in range(8)]
        start = threading.Barrier(8)

        def encoded(samples: bytes) -> bytes:
            start.wait(60)
            return encode(samples, 24_000, AudioFormat.MP3)

        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(encoded, sounds))
        assert together == [encode(samples, 24_000, AudioFormat.MP3) for samples in sounds]


class TestTargetSampleRate:
    @pytest.mark.parametrize(("format", "source"), list(itertools.product(AudioFormat, RATES)))
    def test_is_what_the_whole_file_has(self, format: AudioFormat, source: int) -> None:
        file = encode(tone(source, 0.1), source, format)
        rate = target_sample_rate(format, source)
        if format is AudioFormat.PCM:
            assert len(file) == pytest.approx(2 * rate * 0.1, abs=2)
        else:
            # Opus always decodes at 48 kHz.
            assert probe(file).sample_rate == (48_000 if format is AudioFormat.OPUS else rate)

    def test_keeps_the_source_s_rate_where_it_can(self) -> None:
        assert target_sample_rate(AudioFormat.MP3, 24_000) == 24_000
        assert target_sample_rate(AudioFormat.WAV, 11_025) == 11_025
        assert target_sample_rate(AudioFormat.AAC, 24_000) == 48_000
        assert target_sample_rate(AudioFormat.OPUS, 44_100) == 48_000
        assert target_sample_rate(AudioFormat.MP3, 96_000) == 48_000


class TestProbe:
    @pytest.mark.parametrize("format", FILES)
    def test_describes_a_file(self, format: AudioFormat) -> None:
        info = probe(encode(tone(48_000, 1.5), 48_000, format))
        assert (info.format, info.sample_rate, info.channels) == (format, 48_000, 1)
        assert info.duration == pytest.approx(1.5, abs=0.05)

    def test_counts_channels(self) -> None:
        info = probe(stereo_wav(tone(16_000, 0.5), tone(16_000, 0.5), 16_000))
        assert (info.format, info.channels, info.sample_rate) == (AudioFormat.WAV, 2, 16_000)
        assert info.duration == pytest.approx(0.5)

    @pytest.mark.parametrize(
        ("container", "codec"),
        [("ipod", "aac"), ("matroska", "libopus"), ("webm", "libopus"), ("ogg", "flac")] + [("ogg", "vorbis")],
    )
    def test_audio_that_is_none_of_ours_has_no_format(self, container: str, codec: str) -> None:
        info = probe(muxed(container, codec, tone(48_000, 1.0), 48_000))
        assert info.format is None
        assert info.duration == pytest.approx(1.0, abs=0.05)

    @pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
    def test_placeholder_sizes_do_not_count(self, size: int) -> None:
        riff = min(size + 36, 0xFFFFFFFF)
        info = probe(wav_file(tone(24_000, 0.5), 24_000, data_size=size, riff_size=riff))
        assert info.duration == pytest.approx(0.5)

    @pytest.mark.parametrize(
        "data",
        [b"", JSON, HTML, noise(5000), b"\0" * 5000, wav_header(24_000, 0), wav_header(24_000, None), b"ID3", b"OggS"],
    )
    def test_what_is_no_sound_is_bad_audio(self, data: bytes) -> None:
        with pytest.raises(BadAudio):
            probe(data)

    def test_a_film_without_sound_is_bad_audio(self) -> None:
        with pytest.raises(BadAudio, match="no sound"):
            probe(silent_video())


class TestDecode:
    def test_mixes_channels_to_one(self) -> None:
        left, right = tone(16_000, 0.5, 440, 8000), tone(16_000, 0.5, 440, 4000)
        samples, rate = decode(stereo_wav(left, right, 16_000))
        assert rate == 16_000
        assert np.abs(samples_of(samples) - (samples_of(left) + samples_of(right)) / 2).max() <= 1

    def test_channels_that_can_not_be_mixed_are_bad_audio(self) -> None:
        with pytest.raises(BadAudio, match="can't be processed"):
            decode(wav_file(bytes(9 * 2000), 24_000, channels=9))

    @pytest.mark.parametrize("rate", RATES)
    def test_resamples_to_the_rate_that_is_asked(self, rate: int) -> None:
        samples, given = decode(encode(tone(24_000, 1.0), 24_000, AudioFormat.WAV), sample_rate=rate)
        assert given == rate
        assert seconds_of(samples, rate) == pytest.approx(1.0, abs=0.001)
        assert abs(dominant_hertz(samples, rate) - 440) < 2

    @pytest.mark.parametrize(("container", "codec"), [("ipod", "aac"), ("mp4", "aac"), ("webm", "libopus")])
    def test_reads_what_people_upload(self, container: str, codec: str) -> None:
        samples, rate = decode(muxed(container, codec, tone(48_000, 1.0), 48_000))
        assert seconds_of(samples, rate) == pytest.approx(1.0, abs=0.05)
        assert abs(dominant_hertz(samples, rate) - 440) < 2

    def test_reads_the_pieces_of_a_chained_file(self) -> None:
        """GPT-SoVITS streams separately encoded files back to back."""
        for format in (AudioFormat.FLAC, AudioFormat.OPUS, AudioFormat.MP3):
            pieces = encode(tone(24_000, 1.0, 300), 24_000, format) + encode(tone(24_000, 1.0, 600), 24_000, format)
            samples, rate = decode(pieces)
            assert seconds_of(samples, rate) == pytest.approx(2.0, abs=0.1), format
            assert abs(dominant_hertz(samples[: len(samples) // 4 * 2], rate) - 300) < 5
            assert abs(dominant_hertz(samples[len(samples) // 4 * 2 :], rate) - 600) < 5

    def test_a_rate_that_changes_inside_a_file_is_followed(self) -> None:
        body = encode(tone(24_000, 1.0), 24_000, AudioFormat.MP3) + encode(tone(48_000, 1.0), 48_000, AudioFormat.MP3)
        samples, rate = decode(body)
        assert rate == 24_000
        assert 2.0 <= seconds_of(samples, rate) <= 2.1
        assert abs(dominant_hertz(samples, rate) - 440) < 2

    def test_metadata_in_an_unknown_encoding_does_no_harm(self) -> None:
        broken = wav_chunk(b"LIST", b"INFO" + wav_chunk(b"INAM", b"\xe9\xff\xfe\x80"))
        samples, _ = decode(wav_file(tone(24_000, 0.5), 24_000, before_data=broken))
        assert seconds_of(samples, 24_000) == pytest.approx(0.5)

    def test_an_id3_tag_before_any_format_is_skipped(self) -> None:
        tag = b"ID3\x04\x00\x00\x00\x00\x01\x00" + b"\0" * 128
        for format in (AudioFormat.MP3, AudioFormat.AAC, AudioFormat.FLAC):
            samples, rate = decode(tag + encode(tone(48_000, 1.0), 48_000, format))
            assert seconds_of(samples, rate) == pytest.approx(1.0, abs=0.05), format

    def test_damage_on_the_way_is_bad_audio_or_left_out(self) -> None:
        damaged = [bytearray(encode(tone(24_000, 1.0), 24_000, format)) for format in FILES for _ in range(12)]
        for seed, file in enumerate(damaged):
            for at, byte in zip(noise(40, seed)[::2], noise(40, seed)[1::2], strict=True):
                file[at * len(file) // 256] = byte
            try:
                samples, rate = decode(bytes(file))
            except BadAudio:
                continue
            assert samples and rate

    def test_libraries_stay_silent(self, capfd: pytest.CaptureFixture[str]) -> None:
        for format in FILES:
            file = bytearray(encode(tone(24_000, 0.5), 24_000, format))
            file[len(file) // 3 : len(file) // 2] = noise(50)
            with contextlib.suppress(BadAudio):
                decode(bytes(file))
        assert capfd.readouterr() == ("", "")


class TestPlaylists:
    """ffmpeg reads another file when it is given an ffconcat script, even from memory."""

    @pytest.fixture(autouse=True)
    def _neighbours(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for format in (AudioFormat.WAV, AudioFormat.MP3):
            (tmp_path / f"secret.{format}").write_bytes(encode(tone(24_000, 1.0), 24_000, format))
        monkeypatch.chdir(tmp_path)

    def playlists(self) -> list[bytes]:
        here = Path.cwd()
        return [
            b"ffconcat version 1.0\nfile secret.wav\n",
            f"ffconcat version 1.0\nfile '{here}/secret.wav'\n".encode(),
            b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nsecret.mp3\n#EXT-X-ENDLIST\n",
            f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nfile://{here}/secret.mp3\n#EXT-X-ENDLIST\n".encode(),
            b'<?xml version="1.0"?><MPD><Period><BaseURL>secret.mp3</BaseURL></Period></MPD>',
            b"v=0\nm=audio 5004 RTP/AVP 0\n",
            f"{here}/secret.wav".encode(),
        ]

    def test_the_danger_is_real(self) -> None:
        with av.open(io.BytesIO(self.playlists()[0]), "r") as container:
            assert sum(frame.samples for frame in container.decode(audio=0)) == 24_000

    def test_nothing_is_opened_whatever_reads_it(self) -> None:
        with pytest.raises(av.FFmpegError):
            av.open(io.BytesIO(self.playlists()[0]), "r", container_options=NO_PROTOCOLS)

    def test_playlists_are_refused(self) -> None:
        for playlist in self.playlists():
            for reader in (probe, decode, to_reference_wav):
                with pytest.raises(BadAudio):
                    reader(playlist)

    def test_playlists_behind_a_mask_are_refused(self) -> None:
        tag = b"ID3\x04\x00\x00\x00\x00\x00\x00"
        for mask in (tag, b"RIFF\0\0\0\0WAVE", b"OggS", b"fLaC", b"\xff\xfb\x90\x64", b"\0\0\0\x18ftyp"):
            for playlist in self.playlists():
                with pytest.raises(BadAudio):
                    decode(mask + playlist)


class TestReferenceWav:
    @pytest.mark.parametrize("format", FILES)
    def test_any_format_becomes_a_mono_16_bit_wav(self, format: AudioFormat) -> None:
        file, seconds = to_reference_wav(encode(tone(24_000, 1.5), 24_000, format))
        assert seconds == pytest.approx(1.5, abs=0.05)
        with wave.open(io.BytesIO(file)) as parsed:
            assert (parsed.getnchannels(), parsed.getsampwidth()) == (1, 2)
            assert parsed.getnframes() / parsed.getframerate() == pytest.approx(seconds)

    @pytest.mark.parametrize(("given", "kept"), [(8000, 8000), (44_100, 44_100), (48_000, 48_000), (96_000, 48_000)])
    def test_keeps_the_rate_up_to_48_khz(self, given: int, kept: int) -> None:
        file, seconds = to_reference_wav(stereo_wav(tone(given, 0.5), tone(given, 0.5), given))
        with wave.open(io.BytesIO(file)) as parsed:
            assert parsed.getframerate() == kept
        assert seconds == pytest.approx(0.5, abs=0.001)

    def test_too_long_is_refused_with_the_limit(self) -> None:
        file = encode(tone(8000, 11.0), 8000, AudioFormat.FLAC)
        with pytest.raises(BadAudio, match="longer than 10 seconds"):
            to_reference_wav(file, max_seconds=10)
        assert to_reference_wav(file, max_seconds=11.01)[1] == pytest.approx(11.0)

    def test_a_small_file_that_unpacks_to_hours_is_refused_early(self) -> None:
        bomb = encode(bytes(2 * 48_000 * 60), 48_000, AudioFormat.FLAC)
        many = bomb * 30
        assert len(many) < 2_000_000
        with pytest.raises(BadAudio, match="longer than 600 seconds"):
            to_reference_wav(many)

    @pytest.mark.parametrize("data", [b"", JSON, HTML, noise(20_000), struct.pack("<I", 7) * 1000])
    def test_what_is_no_audio_is_refused(self, data: bytes) -> None:
        with pytest.raises(BadAudio, match="not audio"):
            to_reference_wav(data)


class TestHearing:
    @pytest.mark.parametrize("format", AudioFormat)
    def test_speech_is_understood_in_every_format(self, format: AudioFormat) -> None:
        assert_heard(SENTENCE, encode(spoken(SENTENCE), 24_000, format))

    def test_noise_holds_no_words(self) -> None:
        assert word_error_rate(SENTENCE, transcribe(encode(noise(96_000), 24_000, AudioFormat.WAV))) > 0.9

    def test_other_words_are_noticed(self) -> None:
        with pytest.raises(AssertionError, match="word errors"):
            assert_heard(
                "Tomorrow we shall talk about something else entirely.",
                encode(spoken(SENTENCE), 24_000, AudioFormat.WAV),
            )

    @pytest.mark.parametrize(
        ("expected", "heard", "rate"),
        [
            ("one two three four", "One, two; THREE four!", 0.0),
            ("one two three four", "one three four", 0.25),
            ("one two three four", "one two two three four", 0.25),
            ("one two three four", "one two tree four", 0.25),
            ("one two", "", 1.0),
            ("don’t stop", "dont stop", 0.0),
            ("forty-two of 105", "42 of one hundred five", 0.0),
            ("", "a word", 2.0),
        ],
    )
    def test_word_error_rate(self, expected: str, heard: str, rate: float) -> None:
        assert word_error_rate(expected, heard) == rate
