"""Speech over the API, proved by ear."""

from __future__ import annotations

import base64
import io
import json
import wave
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from banks.models import Bank
from providers.audio import probe
from providers.speech import AudioFormat
from tests.conftest import add_character
from tests.hearing import assert_heard, transcribe, word_error_rate
from tests.test_api_errors import change_settings, say

SENTENCE = "The quick brown fox jumps over the lazy dog near the river bank."
STORY = (
    "The old lighthouse stood on the cliff for a hundred years. Every evening the keeper climbed the stairs. "
    "He lit the lamp and watched the ships pass by. One night a storm came from the north. "
    "The waves were high and the wind was strong. A small boat was lost between the rocks. "
    "The keeper saw its light and rang the bell. In the morning the sea was quiet again, and everyone was safe."
)
FORMATS = [format.value for format in AudioFormat]


def as_file(audio: bytes, audio_format: str) -> bytes:
    """PCM gets the header that it has not."""
    if audio_format != "pcm":
        return audio
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(audio)
    return buffer.getvalue()


def streamed(client: httpx.Client, **body: object) -> tuple[httpx.Response, list[bytes]]:
    with client.stream("POST", "/v1/audio/speech", json={"voice": "Heart"} | body) as response:
        return response, list(response.iter_raw())


@pytest.mark.parametrize("audio_format", FORMATS)
def test_one_sentence_comes_whole_in_every_format(client_http: httpx.Client, bank: Bank, audio_format: str) -> None:
    response = say(client_http, input=SENTENCE, response_format=audio_format)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == AudioFormat(audio_format).content_type
    assert int(response.headers["content-length"]) == len(response.content)
    assert_heard(SENTENCE, as_file(response.content, audio_format))


@pytest.mark.parametrize("audio_format", FORMATS)
def test_a_story_is_streamed_in_every_format(client_http: httpx.Client, bank: Bank, audio_format: str) -> None:
    response, chunks = streamed(client_http, input=STORY, response_format=audio_format)
    assert response.status_code == 200
    assert "content-length" not in response.headers
    assert response.headers["x-accel-buffering"] == "no"
    assert len(chunks) > 1
    assert_heard(STORY, as_file(b"".join(chunks), audio_format))


@pytest.mark.parametrize("stream", [False, True])
def test_all_formats_last_equally_long(client_http: httpx.Client, bank: Bank, stream: bool) -> None:
    durations = {}
    for audio_format in FORMATS:
        _, chunks = streamed(client_http, input=STORY, response_format=audio_format, stream=stream)
        durations[audio_format] = probe(as_file(b"".join(chunks), audio_format)).duration
    assert max(durations.values()) - min(durations.values()) < 0.1, durations


def test_one_sentence_streams_when_asked(client_http: httpx.Client, bank: Bank) -> None:
    response, chunks = streamed(client_http, input=SENTENCE, stream=True, response_format="wav")
    assert "content-length" not in response.headers
    header = chunks[0][:44]
    assert header[:4] == b"RIFF" and header[36:40] == b"data" and header[40:44] == b"\xff" * 4
    assert_heard(SENTENCE, b"".join(chunks))


def test_mp3_is_the_default(client_http: httpx.Client, bank: Bank) -> None:
    response = say(client_http)
    assert response.headers["content-type"] == "audio/mpeg"
    assert probe(response.content).format is AudioFormat.MP3


def test_a_whole_wav_has_true_sizes(client_http: httpx.Client, bank: Bank) -> None:
    content = say(client_http, input=SENTENCE, response_format="wav").content
    with wave.open(io.BytesIO(content)) as file:
        assert file.getnframes() == (len(content) - 44) // 2
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)


@pytest.mark.parametrize("speed", [0.5, 1.5, 2.0, 4.0])
def test_speed_is_honoured_for_a_voice_that_has_none(client_http: httpx.Client, bank: Bank, speed: float) -> None:
    usual = probe(say(client_http, input=SENTENCE, response_format="wav").content).duration
    changed = say(client_http, input=SENTENCE, response_format="wav", speed=speed).content
    assert probe(changed).duration == pytest.approx(usual / speed, rel=0.05)
    if speed <= 1.5:
        assert_heard(SENTENCE, changed)


def test_a_characters_own_speed_multiplies(client_http: httpx.Client, bank: Bank) -> None:
    add_character(bank, bank.characters.get().provider, "Swift", speed=1.5)
    usual = probe(say(client_http, input=SENTENCE, response_format="wav").content).duration
    swift = probe(say(client_http, input=SENTENCE, response_format="wav", voice="Swift").content).duration
    assert swift == pytest.approx(usual / 1.5, rel=0.05)
    calm = probe(say(client_http, input=SENTENCE, response_format="wav", voice="Swift", speed=0.5).content).duration
    assert calm == pytest.approx(usual / 0.75, rel=0.05)


def test_headers_tell_what_is_known(client_http: httpx.Client, bank: Bank) -> None:
    response = say(client_http, input=SENTENCE)
    headers = response.headers
    assert (headers["x-neiroha-backend"], headers["x-neiroha-voice"]) == ("embedded", "Heart")
    assert headers["x-neiroha-sample-rate"] == "24000"
    seconds = float(headers["x-neiroha-audio-seconds"])
    assert seconds == pytest.approx(probe(response.content).duration, abs=0.1)
    assert int(headers["x-neiroha-inference-ms"]) > 0
    assert float(headers["x-neiroha-rtf"]) == pytest.approx(
        int(headers["x-neiroha-inference-ms"]) / 1000 / seconds, abs=0.01
    )
    response, _ = streamed(client_http, input=STORY)
    assert "x-neiroha-rtf" not in response.headers and response.headers["x-neiroha-backend"] == "embedded"


def test_a_voice_with_a_name_of_any_script_has_a_header(client_http: httpx.Client, bank: Bank) -> None:
    add_character(bank, bank.characters.get().provider, "旁白 😀")
    assert say(client_http, voice="旁白 😀").headers["x-neiroha-voice"] == "%E6%97%81%E7%99%BD %F0%9F%98%80"


@pytest.mark.parametrize("voice", ["heart", " Heart ", "NARRATOR", {"id": "Heart"}, "nova"])
def test_a_voice_is_found_in_every_form(client_http: httpx.Client, bank: Bank, voice: object) -> None:
    assert say(client_http, voice=voice).status_code == 200


@pytest.mark.parametrize("model", [None, "", "tts-1", "Stories", "stories", "unheard of"])
def test_any_model_will_do(client_http: httpx.Client, bank: Bank, model: str | None) -> None:
    assert say(client_http, model=model).status_code == 200


def test_unknown_keys_and_nulls_are_as_good_as_absent(client_http: httpx.Client, bank: Bank) -> None:
    response = say(
        client_http, speed=None, response_format=None, stream=None, cfg_value=7, lang_code="a", user={"a": 1}
    )
    assert response.status_code == 200


def test_server_sent_events(client_http: httpx.Client, bank: Bank) -> None:
    response, chunks = streamed(client_http, input=STORY, stream_format="sse", response_format="mp3")
    assert response.headers["content-type"] == "text/event-stream"
    lines = b"".join(chunks).decode().split("\n\n")
    assert lines.pop() == "" and all(line.startswith("data: ") for line in lines)
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"} and len(events) > 2
    done = events[-1]
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"] > 0
    assert_heard(STORY, b"".join(base64.b64decode(event["audio"]) for event in events[:-1]))


def test_hard_words_do_not_break_the_embedded_voice(client_http: httpx.Client, bank: Bank) -> None:
    numbers = [",".join(map(str, range(1, 31))), "999,999," * 12, "$1,000,000,000", "1" * 120]
    signs = ["a" * 5000, "<speak>&amp; [[h]] </speak>", "x\n\n\ny", "\u202eabc", "A" + "\u0301" * 300]
    for text in numbers + signs:
        assert say(client_http, input=text, response_format="wav").status_code == 200, text[:20]


def test_forty_at_once_each_hear_their_own_words(client_http: httpx.Client, bank: Bank) -> None:
    change_settings(rate_limit_per_minute=0, queue_deadline_seconds=600)
    words = ["apples", "houses", "rivers", "mountains", "windows", "horses", "letters", "candles", "gardens", "bottles"]
    numbers = ["two", "five", "seven", "ninety"]
    texts = [f"Today I counted {number} {word} on the road." for word in words for number in numbers]
    client_http.timeout = 600
    with ThreadPoolExecutor(len(texts)) as pool:
        answers = list(pool.map(lambda text: say(client_http, input=text, response_format="wav"), texts))
    assert {answer.status_code for answer in answers} == {200}
    for index, answer in enumerate(answers):
        heard = transcribe(answer.content)
        errors = [word_error_rate(text, heard) for text in texts]
        assert errors[index] == min(errors) and errors[index] <= 0.25, (texts[index], heard)


def test_a_text_that_the_engine_can_not_read_is_the_texts_fault(client_http: httpx.Client, bank: Bank) -> None:
    for _ in range(3):
        response = say(client_http, input="①②③④⑤⑥⑦⑧⑨⑩" * 8)
        assert response.status_code in (200, 400), response.text
    assert say(client_http).status_code == 200, "the provider does not cool down for it"


def test_a_provider_edited_in_mid_answer_speaks_to_the_end(client_http: httpx.Client, bank: Bank) -> None:
    request = client_http.build_request(
        "POST", "/v1/audio/speech", json={"input": STORY, "voice": "Heart", "response_format": "wav"}
    )
    answer = client_http.send(request, stream=True)
    received = answer.iter_raw()
    first = next(received)
    provider = bank.characters.get().provider
    provider.max_concurrency = 3
    provider.save()
    assert say(client_http).status_code == 200
    assert_heard(STORY, first + b"".join(received))
