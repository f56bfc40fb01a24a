"""A program of its own: speaks stdin with the espeak-ng library, standard library only.

espeak_child.py LIBRARY DATA voices             JSON rows of language, age/gender, name, file to stdout
espeak_child.py LIBRARY DATA speak VOICE WPM    UTF-8 text from stdin, WAV to stdout
"""

from __future__ import annotations

import ctypes
import json
import sys
import wave
from io import BytesIO

# From espeak-ng/speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_DONT_EXIT = 0x8000
RATE = 1
CHARS_UTF8 = 1
POS_CHARACTER = 1
GENDERS = {1: "M", 2: "F"}


class VoiceRecord(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


OnAudio = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def load(library: str, data: str) -> tuple[ctypes.CDLL, int]:
    """The library, ready to speak, and its sample rate."""
    espeak = ctypes.CDLL(library)
    sample_rate = espeak.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, data.encode(), INITIALIZE_DONT_EXIT)
    if sample_rate <= 0:
        sys.exit("espeak-ng could not be initialised")
    return espeak, sample_rate


def voices(espeak: ctypes.CDLL) -> list[list[str]]:
    espeak.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(VoiceRecord))
    records = espeak.espeak_ListVoices(None)
    rows, position = [], 0
    while records[position]:
        voice = records[position].contents
        # The first byte of `languages` is a priority.
        language = voice.languages[1:].decode()
        rows.append([language, f"--/{GENDERS.get(voice.gender, '-')}", voice.name.decode(), voice.identifier.decode()])
        position += 1
    return rows


def speak(espeak: ctypes.CDLL, sample_rate: int, voice: str, words_per_minute: int, text: bytes) -> bytes:
    pieces: list[bytes] = []

    def on_audio(samples: ctypes._Pointer[ctypes.c_short], count: int, events: int) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, count * 2))
        return 0

    callback = OnAudio(on_audio)
    espeak.espeak_SetSynthCallback(callback)
    if espeak.espeak_SetVoiceByName(voice.encode()) != 0:
        sys.exit("no such voice")
    espeak.espeak_SetParameter(RATE, words_per_minute, 0)
    if espeak.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, POS_CHARACTER, 0, CHARS_UTF8, None, None) != 0:
        sys.exit("espeak-ng could not speak")
    espeak.espeak_Synchronize()
    output = BytesIO()
    with wave.open(output, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(b"".join(pieces))
    return output.getvalue()


def main(library: str, data: str, task: str, *arguments: str) -> None:
    espeak, sample_rate = load(library, data)
    if task == "voices":
        sys.stdout.buffer.write(json.dumps(voices(espeak)).encode())
    else:
        voice, words_per_minute = arguments
        sys.stdout.buffer.write(speak(espeak, sample_rate, voice, int(words_per_minute), sys.stdin.buffer.read()))


if __name__ == "__main__":
    main(*sys.argv[1:])
