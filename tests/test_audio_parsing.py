"""What is read by hand: WAV headers and samples, raw samples, MPEG frames, Ogg pages."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.audio import encode, mpeg
from providers.audio.formats import demuxer_of, ogg_is_cut_off
from providers.audio.mpeg import FrameSplitter, adts_frame_bytes, id3_tag_bytes, mp3_frame_bytes, read_info_tag
from providers.audio.wav import PcmReader, WavReader
from providers.errors import BadAudio
from providers.speech import AudioFormat
from tests.sounds import in_pieces, noise, samples_of, tone, transcoded, wav_chunk, wav_file

RAMP = np.linspace(-32768, 32767, 1001).astype("<i2")
MP3 = encode(tone(24_000, 0.5), 24_000, AudioFormat.MP3)
AAC = encode(tone(48_000, 0.5), 48_000, AudioFormat.AAC)
OPUS = encode(tone(48_000, 0.5), 48_000, AudioFormat.OPUS)
ID3 = b"ID3\x04\x00\x00\x00\x00\x02\x00" + b"\xff\xfb\x90\x64" * 64


def read_wav(file: bytes) -> bytes:
    """The samples; the same however the bytes are cut."""
    whole = WavReader()
    samples = whole.feed(file) + whole.finish()
    single = WavReader()
    assert b"".join(single.feed(file[at : at + 1]) for at in range(len(file))) + single.finish() == samples
    assert whole.sample_rate == single.sample_rate
    return samples


def as_24_bit(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> bytes:
    return b"".join(b"\x55" + struct.pack("<h", sample) for sample in samples)


class TestWavSamples:
    @pytest.mark.parametrize("extensible", [False, True])
    @pytest.mark.parametrize(
        ("encoding", "bits", "body", "error"),
        [
            (1, 8, ((RAMP.astype(np.int32) + 32768) >> 8).astype(np.uint8).tobytes(), 256),
            (1, 16, RAMP.tobytes(), 0),
            (1, 24, as_24_bit(RAMP), 0),
            (1, 32, (RAMP.astype("<i4") << 16).tobytes(), 0),
            (3, 32, (RAMP / 32768).astype("<f4").tobytes(), 1),
            (3, 64, (RAMP / 32768).astype("<f8").tobytes(), 1),
        ],
    )
    def test_every_encoding(self, encoding: int, bits: int, body: bytes, error: int, extensible: bool) -> None:
        samples = read_wav(wav_file(body, 24_000, encoding=encoding, bits=bits, extensible=extensible))
        assert len(samples) == RAMP.nbytes
        assert np.abs(samples_of(samples) - RAMP).max() <= error

    @pytest.mark.parametrize("channels", [2, 3, 6])
    def test_channels_are_mixed_evenly(self, channels: int) -> None:
        frames = np.zeros((len(RAMP), channels), "<i2")
        frames[:, -1] = RAMP
        samples = read_wav(wav_file(frames.tobytes(), 16_000, channels=channels))
        assert np.abs(samples_of(samples) - RAMP / channels).max() <= 1

    def test_loud_channels_do_not_overflow(self) -> None:
        frames = np.full((10, 2), 32767, "<i2")
        assert set(samples_of(read_wav(wav_file(frames.tobytes(), 16_000, channels=2)))) == {32767.0}

    def test_floats_beyond_full_scale_are_limited(self) -> None:
        body = np.array([2.0, -3.0, np.inf, -np.inf, np.nan, 0.5], "<f4").tobytes()
        samples = samples_of(read_wav(wav_file(body, 16_000, encoding=3, bits=32)))
        assert list(samples) == [32767, -32767, 32767, -32767, 0, 16384]

    @pytest.mark.parametrize("rate", [8000, 44_100, 192_000])
    def test_tells_the_rate(self, rate: int) -> None:
        reader = WavReader()
        reader.feed(wav_file(RAMP.tobytes(), rate))
        assert reader.sample_rate == rate


class TestWavChunks:
    @pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
    def test_a_placeholder_size_means_until_the_end(self, size: int) -> None:
        riff = min(size + 36, 0xFFFFFFFF)
        assert read_wav(wav_file(RAMP.tobytes(), 24_000, data_size=size, riff_size=riff)) == RAMP.tobytes()

    def test_chunks_around_the_samples_are_skipped(self) -> None:
        before = wav_chunk(b"LIST", b"INFOodd") + wav_chunk(b"fact", b"\0\0\0\0") + wav_chunk(b"JUNK", bytes(5000))
        file = wav_file(RAMP.tobytes(), 24_000, before_data=before, after_data=wav_chunk(b"LIST", b"INFOend"))
        assert read_wav(file) == RAMP.tobytes()

    @given(cuts=st.lists(st.integers(0, 400), max_size=20))
    def test_may_be_cut_anywhere(self, cuts: list[int]) -> None:
        file = wav_file(as_24_bit(RAMP[:100]), 24_000, bits=24, before_data=wav_chunk(b"LIST", b"INFOodd"))
        bounds = [0, *sorted(min(cut, len(file)) for cut in cuts), len(file)]
        reader = WavReader()
        samples = b"".join(reader.feed(file[start:end]) for start, end in itertools.pairwise(bounds))
        assert samples + reader.finish() == RAMP[:100].tobytes()

    @pytest.mark.parametrize("missing", [1, 2, 500])
    def test_missing_samples_are_noticed(self, missing: int) -> None:
        reader = WavReader()
        reader.feed(wav_file(RAMP.tobytes(), 24_000)[:-missing])
        with pytest.raises(BadAudio, match=f"{missing} bytes are missing"):
            reader.finish()

    @pytest.mark.parametrize("length", [0, 5, 12, 20, 43])
    def test_an_unfinished_header_is_noticed(self, length: int) -> None:
        reader = WavReader()
        assert reader.feed(wav_file(RAMP.tobytes(), 24_000)[:length]) == b""
        with pytest.raises(BadAudio, match="header"):
            reader.finish()

    @pytest.mark.parametrize(
        "file",
        [
            b"RIFX" + bytes(40),
            b"RIFF\0\0\0\0AVI LIST",
            b'{"error": "not found"}',
            wav_file(b"\0\0", 24_000, encoding=6, bits=8),
            wav_file(b"\0\0", 24_000, encoding=0x55),
            wav_file(b"\0\0", 24_000, bits=48),
            wav_file(b"\0\0", 24_000, channels=0),
            wav_file(b"\0\0", 24_000, channels=900),
            wav_file(b"\0\0", 0),
            wav_file(b"\0\0", 4_000_000_000 // 4),
            b"RIFF\0\0\0\0WAVE" + wav_chunk(b"fmt ", b"\1\0\1\0"),
            b"RIFF\0\0\0\0WAVE" + wav_chunk(b"data", b"\0\0"),
            b"RIFF\0\0\0\0WAVELIST" + struct.pack("<I", 0x7FFFFFFF),
        ],
    )
    def test_impossible_headers_are_refused(self, file: bytes) -> None:
        with pytest.raises(BadAudio):
            WavReader().feed(file)


class TestPcm:
    @given(cuts=st.lists(st.integers(0, 1000), max_size=30), size=st.integers(0, 1000))
    def test_odd_bytes_are_carried_over(self, cuts: list[int], size: int) -> None:
        samples = noise(size, seed=2)
        bounds = [0, *sorted(min(cut, size) for cut in cuts), size]
        reader = PcmReader(24_000)
        pieces = [reader.feed(samples[start:end]) for start, end in itertools.pairwise(bounds)]
        assert all(len(piece) % 2 == 0 for piece in pieces)
        assert b"".join(pieces) + reader.finish() == samples[: size // 2 * 2]

    @pytest.mark.parametrize("text", [b'{"error":1}', b"<!DOCTYPE html>\n<html>", b"Internal Server Error", b"{}\r\n"])
    def test_text_is_refused(self, text: bytes) -> None:
        reader = PcmReader(24_000)
        with pytest.raises(BadAudio, match="text"):
            for piece in in_pieces(text, sizes=(1, 2, 3)):
                reader.feed(piece)
            reader.finish()

    @pytest.mark.parametrize("rate", [0, -1])
    def test_needs_a_rate(self, rate: int) -> None:
        with pytest.raises(BadAudio, match="rate"):
            PcmReader(rate)


def frames_in(splitter: FrameSplitter, data: bytes, seed: int = 1) -> list[bytes]:
    pieces = (splitter.feed(piece) for piece in in_pieces(data, seed))
    return [frame for frames in pieces for frame in frames] + splitter.finish()


MPEG = [(mp3_frame_bytes, MP3), (adts_frame_bytes, AAC)]


class TestFrameSplitter:
    @pytest.mark.parametrize(("frame_bytes", "file"), MPEG)
    @pytest.mark.parametrize("seed", range(5))
    def test_frames_are_the_file(self, frame_bytes: Callable[[bytes], int], file: bytes, seed: int) -> None:
        splitter = FrameSplitter(frame_bytes)
        frames = frames_in(splitter, file, seed)
        assert len(frames) > 10
        assert b"".join(frames) == file
        assert not splitter.cut_off

    @pytest.mark.parametrize(("frame_bytes", "file"), MPEG)
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (ID3, b""),
            (ID3 + bytes(500), b""),
            (b"junk \xff\xfb\x90\x64 junk \xff\xf1\x50\x80\x04 junk", b""),
            (b"", b"TAG" + b"title".ljust(125, b"\0")),
            (b"", b"APETAGEX" + noise(200)),
            (b"", bytes(3000)),
            (ID3 + ID3, b"TAG" + bytes(125)),
        ],
    )
    def test_what_is_no_frame_is_left_out(
        self, frame_bytes: Callable[[bytes], int], file: bytes, before: bytes, after: bytes
    ) -> None:
        splitter = FrameSplitter(frame_bytes)
        assert b"".join(frames_in(splitter, before + file + after)) == file
        assert not splitter.cut_off

    @pytest.mark.parametrize(("frame_bytes", "file"), MPEG)
    def test_tags_between_files_are_left_out(self, frame_bytes: Callable[[bytes], int], file: bytes) -> None:
        splitter = FrameSplitter(frame_bytes)
        assert b"".join(frames_in(splitter, ID3 + file + ID3 + file)) == file * 2

    @pytest.mark.parametrize(("frame_bytes", "file"), MPEG)
    def test_finds_its_way_again_after_damage(self, frame_bytes: Callable[[bytes], int], file: bytes) -> None:
        whole = frames_in(FrameSplitter(frame_bytes), file)
        damaged = b"".join(whole[:5]) + noise(150) + b"".join(whole[5:])
        kept = frames_in(FrameSplitter(frame_bytes), damaged)
        assert kept[:5] == whole[:5]
        assert kept[-(len(whole) - 6) :] == whole[6:]

    @pytest.mark.parametrize(("frame_bytes", "file"), MPEG)
    def test_every_cut_inside_a_frame_is_noticed(self, frame_bytes: Callable[[bytes], int], file: bytes) -> None:
        last = len(frames_in(FrameSplitter(frame_bytes), file)[-1])
        for missing in range(last + 1):
            splitter = FrameSplitter(frame_bytes)
            frames_in(splitter, file[: len(file) - missing])
            assert splitter.cut_off is (0 < missing < last), missing

    def test_a_cut_inside_a_tag_is_noticed(self) -> None:
        splitter = FrameSplitter(mp3_frame_bytes)
        frames_in(splitter, MP3 + ID3[:40])
        assert splitter.cut_off

    def test_one_frame_alone_is_a_frame(self) -> None:
        first = frames_in(FrameSplitter(mp3_frame_bytes), MP3)[1]
        assert frames_in(FrameSplitter(mp3_frame_bytes), first) == [first]

    @pytest.mark.parametrize("frame_bytes", [mp3_frame_bytes, adts_frame_bytes])
    def test_noise_holds_no_run_of_frames(self, frame_bytes: Callable[[bytes], int]) -> None:
        assert len(frames_in(FrameSplitter(frame_bytes), noise(200_000))) <= 2


class TestHeaders:
    @pytest.mark.parametrize(
        ("header", "size"),
        [
            ("fffb9064", 417),  # MPEG-1, 128 kbit/s, 44.1 kHz
            ("fffb9264", 418),  # the same, padded
            ("fff384c4", 192),  # MPEG-2, 64 kbit/s, 24 kHz
            ("ffe318c4", 72),  # MPEG-2.5, 8 kbit/s, 8 kHz
            ("fffbe064", 1044),  # 320 kbit/s
            ("fffb0064", 0),  # free format
            ("fffbf064", 0),  # no such bit rate
            ("fffb9c64", 0),  # no such sample rate
            ("ffeb9064", 0),  # no such version
            ("fffd9064", 0),  # layer II
            ("fffb90", 0),
            ("", 0),
        ],
    )
    def test_mp3(self, header: str, size: int) -> None:
        assert mp3_frame_bytes(bytes.fromhex(header)) == size

    @pytest.mark.parametrize(
        ("header", "size"),
        [("fff150801fbffc", 253), ("fff950801fbffc", 253), ("fff150800000fc", 0), ("fffb50801fbffc", 0), ("fff150", 0)],
    )
    def test_adts(self, header: str, size: int) -> None:
        assert adts_frame_bytes(bytes.fromhex(header)) == size

    def test_id3(self) -> None:
        assert id3_tag_bytes(b"ID3\x04\x00\x00\x00\x00\x01\x7f") == 10 + 255
        assert id3_tag_bytes(b"ID3\x04\x00\x10\x00\x00\x01\x7f") == 20 + 255
        assert id3_tag_bytes(b"ID3\x04\x00\x00\x00\x00\x80\x00") == 0
        assert id3_tag_bytes(b"ID3\x04") == id3_tag_bytes(b"fLaC" + bytes(6)) == 0

    def test_info_tag_tells_frames_and_delays(self) -> None:
        first, *others = frames_in(FrameSplitter(mp3_frame_bytes), MP3)
        assert read_info_tag(first) == mpeg.InfoTag(frames=len(others), skip=576 + 529, samples=12_000)
        assert not any(map(read_info_tag, others))

    def test_a_stream_has_no_info_tag(self) -> None:
        stream = transcoded(AudioFormat.MP3, (AudioFormat.PCM, tone(24_000, 0.5)), sample_rate=24_000)
        assert not any(map(read_info_tag, frames_in(FrameSplitter(mp3_frame_bytes), stream)))

    def test_an_info_tag_without_delays_skips_nothing(self) -> None:
        silent = b"\xff\xfb\x90\xc4" + bytes(17) + b"Xing" + struct.pack(">II", 1, 77)
        assert read_info_tag(silent.ljust(417, b"\0")) == mpeg.InfoTag(frames=77, skip=0, samples=None)
        assert read_info_tag((silent[:25] + bytes(4)).ljust(417, b"\0")) == mpeg.InfoTag(0, 0, None)

    def test_fewer_frames_than_promised_are_a_cut_off_file(self) -> None:
        frames = frames_in(FrameSplitter(mp3_frame_bytes), MP3)
        with pytest.raises(BadAudio, match="cut off"):
            transcoded(AudioFormat.WAV, (AudioFormat.MP3, b"".join(frames[:-4])))


class TestContainers:
    @pytest.mark.parametrize("kept", [1, 26, 27, 28, 40])
    def test_an_ogg_page_that_is_not_whole_is_noticed(self, kept: int) -> None:
        page = OPUS.rfind(b"OggS")
        assert not ogg_is_cut_off(OPUS)
        assert not ogg_is_cut_off(OPUS[:page])
        assert ogg_is_cut_off(OPUS[: page + max(kept, 4)])

    @pytest.mark.parametrize(
        ("head", "name"),
        [
            (b"\0\0\0\x20ftypM4A ", "mov"),
            (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81", "matroska"),
            (ID3 + AAC, "aac"),
            (ID3 + MP3, "mp3"),
            (ID3 + bytes(50), "mp3"),
            (OPUS, "ogg"),
        ],
    )
    def test_the_demuxer_follows_from_the_first_bytes(self, head: bytes, name: str) -> None:
        assert demuxer_of(io.BytesIO(head)) == name

    @pytest.mark.parametrize("head", [b"", b"ffconcat version 1.0", b"#EXTM3U", b"\x89PNG\r\n", b"%PDF-1.7", b"MThd"])
    def test_nothing_else_has_one(self, head: bytes) -> None:
        with pytest.raises(BadAudio, match="not audio"):
            demuxer_of(io.BytesIO(head))

    def test_opus_streams_in_pages_of_a_tenth_of_a_second(self) -> None:
        stream = transcoded(AudioFormat.OPUS, (AudioFormat.PCM, tone(24_000, 2.0)), sample_rate=24_000)
        assert 20 <= stream.count(b"OggS") <= 25
