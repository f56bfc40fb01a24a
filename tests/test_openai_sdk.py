"""The official OpenAI client against the running server."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import openai
import pytest

from api.models import ApiKey
from banks.models import Bank
from tests.hearing import assert_heard
from tests.test_api_errors import change_settings
from tests.test_api_speech import FORMATS, SENTENCE, STORY, as_file


@pytest.fixture
def sdk(server: str, bank: Bank) -> Iterator[openai.OpenAI]:
    _, secret = ApiKey.objects.issue(name="sdk")
    with openai.OpenAI(base_url=f"{server}/v1", api_key=secret, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("audio_format", FORMATS)
def test_create(sdk: openai.OpenAI, audio_format: str) -> None:
    speech = sdk.audio.speech.create(
        model="Stories",
        voice="Heart",
        input=SENTENCE,
        response_format=audio_format,  # type: ignore[arg-type]
    )
    assert_heard(SENTENCE, as_file(speech.content, audio_format))


def test_voice_as_an_object(sdk: openai.OpenAI) -> None:
    voices = sdk.get("/audio/voices", cast_to=object)
    identity = voices["voices"][0]["id"]  # type: ignore[index]
    speech = sdk.audio.speech.create(model="tts-1", voice={"id": identity}, input=SENTENCE)
    assert_heard(SENTENCE, speech.content)


@pytest.mark.parametrize("audio_format", ["mp3", "wav", "pcm"])
def test_streaming(sdk: openai.OpenAI, audio_format: str) -> None:
    with sdk.audio.speech.with_streaming_response.create(
        model="tts-1",
        voice="alloy",
        input=STORY,
        response_format=audio_format,  # type: ignore[arg-type]
        speed=1.2,
    ) as response:
        chunks = list(response.iter_bytes(4096))
    assert len(chunks) > 3
    assert_heard(STORY, as_file(b"".join(chunks), audio_format))


def test_server_sent_events(sdk: openai.OpenAI) -> None:
    audio, kinds = b"", []
    with sdk.audio.speech.with_streaming_response.create(
        model="tts-1", voice="Heart", input=STORY, stream_format="sse"
    ) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                event = json.loads(line[6:])
                kinds.append(event["type"])
                audio += base64.b64decode(event.get("audio", ""))
    assert kinds[-1] == "speech.audio.done" and set(kinds[:-1]) == {"speech.audio.delta"}
    assert_heard(STORY, audio)


def test_errors_carry_code_and_param(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="There is no voice “nobody”") as missing:
        sdk.audio.speech.create(model="tts-1", voice="nobody", input="Hello.")
    error = missing.value
    assert (error.code, error.param, error.type) == ("voice_not_found", "voice", "not_found_error")
    assert error.request_id is not None and error.request_id.startswith("req_")
    with pytest.raises(openai.BadRequestError, match="0.25 to 4.0") as refused:
        sdk.audio.speech.create(model="tts-1", voice="Heart", input="Hello.", speed=9)
    assert refused.value.param == "speed"
    with pytest.raises(openai.BadRequestError, match="Missing|missing") as blank:
        sdk.audio.speech.create(model="tts-1", voice="Heart", input=" ")
    assert (blank.value.param, blank.value.code) == ("input", "missing_value")
    with pytest.raises(openai.AuthenticationError, match="not known"):
        sdk.with_options(api_key="wrong").models.list()
    change_settings(max_body_bytes=200)
    with pytest.raises(openai.APIStatusError, match="too large") as large:
        sdk.audio.speech.create(model="tts-1", voice="Heart", input="Hello. " * 100)
    assert large.value.status_code == 413


def test_a_spent_budget_is_waited_for(sdk: openai.OpenAI) -> None:
    change_settings(rate_limit_per_minute=1)
    sdk.models.list()
    with pytest.raises(openai.RateLimitError) as limited:
        sdk.models.list()
    assert 1 <= int(limited.value.response.headers["retry-after"]) <= 60


def test_models_list_and_retrieve(sdk: openai.OpenAI) -> None:
    Bank.objects.create(name="My Bank/角色")
    listed = {model.id: model for model in sdk.models.list()}
    assert sorted(listed) == ["My Bank/角色", "Stories"]
    retrieved = sdk.models.retrieve("My Bank/角色")
    assert (retrieved.id, retrieved.object, retrieved.owned_by) == ("My Bank/角色", "model", "neiroha")
    assert retrieved.created == listed["My Bank/角色"].created > 0
    with pytest.raises(openai.NotFoundError) as missing:
        sdk.models.retrieve("tts-1")
    assert missing.value.code == "model_not_found"


async def test_the_asynchronous_client(server: str, bank: Bank) -> None:
    async with openai.AsyncOpenAI(base_url=f"{server}/v1", api_key="placeholder", max_retries=0) as client:
        speech = await client.audio.speech.create(model="tts-1", voice="nova", input=SENTENCE)
        assert_heard(SENTENCE, speech.content)
