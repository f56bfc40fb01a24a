"""What bad input gets: always the API's error shape, always a request id, never a 500."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from django.db import connection

from api.models import ServerSettings
from banks.models import Bank
from providers.models import Provider
from providers.versions import bump
from tests.conftest import add_character

SPEECH = "/v1/audio/speech"


def refusal(response: httpx.Response, status: int) -> dict[str, Any]:
    """The error of an answer that must be one, in shape."""
    assert response.status_code == status, response.text
    assert response.headers["x-request-id"].startswith("req_")
    body = response.json()
    assert list(body) == ["error"] and sorted(body["error"]) == ["code", "message", "param", "type"]
    assert body["error"]["message"] and body["error"]["code"]
    error: dict[str, Any] = body["error"]
    return error


def say(client: httpx.Client, **fields: Any) -> httpx.Response:
    return client.post(SPEECH, json={"input": "Hello there.", "voice": "Heart"} | fields)


def change_settings(**values: object) -> None:
    row = ServerSettings.load()
    for name, value in values.items():
        setattr(row, name, value)
    row.save()


def test_no_body(client_http: httpx.Client, bank: Bank) -> None:
    response = client_http.post(SPEECH, headers={"Content-Type": "application/json"})
    assert refusal(response, 400)["param"] == "input"
    assert refusal(client_http.post(SPEECH), 400)["param"] == "input"


@pytest.mark.parametrize(
    "body", [b"{", b"hello", b'{"input": "a",}', b"\xff\xfe{}", b'{"input": NaN}', b'{"a":' * 5000, b"[" * 100_000]
)
def test_not_json(client_http: httpx.Client, bank: Bank, body: bytes) -> None:
    error = refusal(client_http.post(SPEECH, content=body, headers={"Content-Type": "application/json"}), 400)
    assert "JSON" in error["message"]


@pytest.mark.parametrize("body", [[], ["input"], "text", 7, None, True])
def test_json_but_not_an_object(client_http: httpx.Client, bank: Bank, body: object) -> None:
    refusal(client_http.post(SPEECH, content=json.dumps(body), headers={"Content-Type": "application/json"}), 400)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"]
)
def test_only_json_is_taken_so_that_no_foreign_form_can_speak(
    client_http: httpx.Client, bank: Bank, content_type: str
) -> None:
    body = b'{"input": "Hello", "voice": "Heart"}'
    error = refusal(client_http.post(SPEECH, content=body, headers={"Content-Type": content_type}), 415)
    assert error["code"] == "unsupported_media_type"


@pytest.mark.parametrize("field", ["input", "voice"])
@pytest.mark.parametrize("value", [None, "", "   \n\t", 7, ["a"], {"id": ""}, {"name": "x"}, True, "\ud800", "a\x00b"])
def test_missing_or_wrong_input_and_voice_name_the_field(
    client_http: httpx.Client, bank: Bank, field: str, value: object
) -> None:
    body = json.dumps({"input": "Hello", "voice": "Heart"} | {field: value})
    response = client_http.post(SPEECH, content=body, headers={"Content-Type": "application/json"})
    assert refusal(response, 400)["param"] == field


@pytest.mark.parametrize("text", ["🎉🎉", "…", "!!! ???", "— – -", "\u200b"])
def test_text_without_words(client_http: httpx.Client, bank: Bank, text: str) -> None:
    error = refusal(say(client_http, input=text), 400)
    assert (error["param"], error["code"]) == ("input", "nothing_to_say")


def test_words_that_the_voice_can_not_read(client_http: httpx.Client, bank: Bank) -> None:
    error = refusal(say(client_http, input="你好世界"), 400)
    assert error["param"] == "input" and "English" in error["message"]


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("response_format", "ogg", "mp3, opus, aac, flac, wav, pcm"),
        ("response_format", 3, "mp3"),
        ("response_format", ["mp3"], "mp3"),
        ("response_format", {}, "mp3"),
        ("speed", 0.2, "0.25 to 4.0"),
        ("speed", 4.01, "0.25 to 4.0"),
        ("speed", "fast", "0.25 to 4.0"),
        ("speed", "1.0", "0.25 to 4.0"),
        ("speed", True, "0.25 to 4.0"),
        ("speed", [1], "0.25 to 4.0"),
        ("speed", 1e400, "JSON"),
        ("stream_format", "xml", "audio, sse"),
        ("stream", "yes", "boolean"),
        ("model", 5, "valid string"),
        ("model", ["a"], "valid string"),
        ("instructions", {"a": 1}, "valid string"),
        ("voice", "v" * 201, "200"),
    ],
)
def test_unsupported_values_say_what_is_allowed(
    client_http: httpx.Client, bank: Bank, field: str, value: object, named: str
) -> None:
    body = json.dumps({"input": "Hello", "voice": "Heart"} | {field: value})
    error = refusal(client_http.post(SPEECH, content=body, headers={"Content-Type": "application/json"}), 400)
    assert named in error["message"]
    assert error["param"] in (field, None) and (error["param"] or "JSON" in error["message"])


def test_instructions_that_a_voice_can_not_follow_are_refused_not_dropped(
    client_http: httpx.Client, bank: Bank
) -> None:
    error = refusal(say(client_http, instructions="whisper"), 400)
    assert (error["param"], error["code"]) == ("instructions", "unsupported_value")
    assert say(client_http, instructions="").status_code == 200
    assert say(client_http, instructions=None).status_code == 200


def test_input_over_the_limit_names_the_limit(client_http: httpx.Client, bank: Bank) -> None:
    change_settings(max_input_characters=20)
    error = refusal(say(client_http, input="a" * 21), 400)
    assert error["param"] == "input" and "20" in error["message"]
    assert say(client_http, input="Twenty characters it").status_code == 200


def test_an_unknown_voice_names_the_bank_and_near_names(client_http: httpx.Client, bank: Bank) -> None:
    error = refusal(say(client_http, voice="Hart", model="Stories"), 404)
    assert error["param"] == "voice" and "“Stories”" in error["message"] and "Heart" in error["message"]


def test_a_voice_of_an_inactive_bank_a_disabled_character_or_provider(
    client_http: httpx.Client, bank: Bank, embedded: Provider
) -> None:
    character = bank.characters.get()
    for thing, field in ((bank, "active"), (character, "enabled"), (embedded, "enabled")):
        setattr(thing, field, False)
        thing.save()
        refusal(say(client_http), 404)
        refusal(say(client_http, model="Stories"), 404)
        setattr(thing, field, True)
        thing.save()
    assert say(client_http).status_code == 200


def test_a_voice_that_a_named_bank_lacks_is_not_looked_for_elsewhere(
    client_http: httpx.Client, bank: Bank, embedded: Provider
) -> None:
    other = Bank.objects.create(name="Games", position=1)
    add_character(other, embedded, "Goblin")
    refusal(say(client_http, voice="Heart", model="Games"), 404)
    assert say(client_http, voice="Goblin", model="tts-1").status_code == 200


def test_two_characters_of_one_name_are_no_failure(client_http: httpx.Client, bank: Bank, embedded: Provider) -> None:
    other = Bank.objects.create(name="Games", position=1)
    add_character(other, embedded, "Heart", voice="no such voice")
    add_character(bank, embedded, "Heart", voice="no such voice")
    assert say(client_http).status_code == 200


def test_a_voice_that_the_provider_lost_is_a_404(client_http: httpx.Client, bank: Bank, embedded: Provider) -> None:
    add_character(bank, embedded, "Ghost", voice="nowhere")
    assert "nowhere" in refusal(say(client_http, voice="Ghost"), 404)["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", SPEECH), ("DELETE", "/v1/models"), ("POST", "/health"), ("PUT", "/speakers"), ("OPTIONS", "/v1/models")],
)
def test_wrong_method(client_http: httpx.Client, bank: Bank, method: str, path: str) -> None:
    response = client_http.request(method, path)
    assert refusal(response, 405)["code"] == "method_not_allowed"
    assert response.headers["Allow"]


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/", "/v1/test", "/v1/readyz", "/v1/audio", "/v1/audio/speech/x", "/health/x"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_path(client_http: httpx.Client, bank: Bank, method: str, path: str) -> None:
    assert refusal(client_http.request(method, path), 404)["code"] == "not_found"


def test_a_path_that_is_not_utf8(client_http: httpx.Client, bank: Bank) -> None:
    assert client_http.get("/v1/models/%ff%fe").status_code in (400, 404)


def test_an_unknown_model(client_http: httpx.Client, bank: Bank) -> None:
    assert refusal(client_http.get("/v1/models/tts-1"), 404)["code"] == "model_not_found"
    assert refusal(client_http.get("/v1/audio/voices?model=tts-1"), 404)["code"] == "model_not_found"


def test_a_foreign_host_name_is_refused(client_http: httpx.Client, bank: Bank) -> None:
    response = client_http.get("/v1/models", headers={"Host": "evil.example"})
    assert refusal(response, 400)["code"] == "host_not_allowed"


def test_the_api_can_be_switched_off(client_http: httpx.Client, bank: Bank) -> None:
    change_settings(api_enabled=False)
    response = say(client_http)
    assert refusal(response, 503)["code"] == "api_off"
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    health = client_http.get("/health")
    assert health.status_code == 200 and health.json()["api"] == "off"


def test_a_body_over_the_limit_declared_and_chunked(client_http: httpx.Client, bank: Bank) -> None:
    change_settings(max_body_bytes=2000)
    assert refusal(say(client_http, input="a " * 1500), 413)["code"] == "body_too_large"
    chunks = (b'{"input": "' + b"a" * 1000 for _ in range(5))
    response = client_http.post(SPEECH, content=chunks, headers={"Content-Type": "application/json"})
    assert "2000" in refusal(response, 413)["message"]
    change_settings(max_body_bytes=0)
    assert say(client_http, padding="a" * 5000).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("POST", SPEECH), ("GET", "/v1/models"), ("GET", "/health")])
def test_a_configuration_that_can_not_be_read_is_told(
    client_http: httpx.Client, bank: Bank, method: str, path: str
) -> None:
    def ask() -> httpx.Response:
        body = {"input": "Hello there.", "voice": "Heart"} if method == "POST" else None
        return client_http.request(method, path, json=body)

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE api_serversettings RENAME TO elsewhere")
    try:
        bump()
        for _ in range(2):
            response = ask()
            error = refusal(response, 503)
            assert (error["code"], error["type"], error["param"]) == ("configuration_unavailable", "server_error", None)
            assert "Try again soon" in error["message"] and "elsewhere" not in response.text
            assert response.headers["retry-after"] == "5"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO api_serversettings")
    assert ask().status_code == 200, "nobody has to restart the server"


def test_an_unforeseen_failure_tells_no_details(
    client_http: httpx.Client, bank: Bank, caplog: pytest.LogCaptureFixture
) -> None:
    Bank.objects.all().delete()
    character = add_character(Bank.objects.create(name="Odd"), Provider.objects.get(), "Odd")
    type(character).objects.update(task_mode="unheard of")
    response = client_http.get("/v1/models")
    assert response.status_code == 500
    assert "unheard of" not in response.text
