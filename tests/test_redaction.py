"""What is kept back of a provider's words, and what is not."""

from __future__ import annotations

import base64

import pytest

from providers.http import scrubbed
from providers.redaction import redacted
from providers.speech import ProviderConfig

HEX = "0123456789abcdef0123456789abcdef"
AUDIO = base64.b64encode(bytes(range(256)) * 40).decode()
SLASHED = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Incorrect API key provided: sk-proj-abcDEF123456.", "Incorrect API key provided: [key]."),
        ("Incorrect API key provided: sk-live****9876", "Incorrect API key provided: [key]"),
        ("'sk-secretsecret' is wrong", "'[key]' is wrong"),
        ("Key tp-c0ffee1234567890 has no plan", "Key [key] has no plan"),
        ("Key AIzaSyA-0123456789_abcdefghijklmnopqrstu is blocked", "Key [key] is blocked"),
        ("Got Authorization: Bearer abc123", "Got Authorization: Bearer [key]"),
        ("Got authorization: bearer eyJhbGciOi.eyJzdWIi.c2ln-_x", "Got authorization: bearer [key]"),
        ("Got {'Authorization': 'Basic YW5uOmhpZGRlbg=='}", "Got {'Authorization': 'Basic [key]'}"),
        ("Header x-api-key: a1b2c3d4", "Header x-api-key: [key]"),
        ('{"api_key":"a1b2c3d4"}', '{"api_key":"[key]"}'),
        ("Ocp-Apim-Subscription-Key: a1b2c3d4", "Ocp-Apim-Subscription-Key: [key]"),
        ("GET /v1/models?key=abcdef&page=2", "GET /v1/models?key=[key]&page=2"),
        ("https://h.example/v1?token=abc#top", "https://h.example/v1?token=[key]"),
        ("see ?api_key=abc, access_token=def; apikey='ghi'", "see ?api_key=[key], access_token=[key]; apikey='[key]'"),
        (f"Token {HEX} has expired", "Token [key] has expired"),
        (f"req_{HEX.upper()}", "req_[key]"),
        (f"Account key {SLASHED} is wrong", "Account key [key] is wrong"),
        (f"/v1/voices/{HEX}/preview", "/v1/voices/[key]"),
        (f"Bad audio: data:audio/wav;base64,{AUDIO}", "Bad audio: [data]"),
        (f"Bad audio ('data:;base64,{AUDIO}') here", "Bad audio ('[data]') here"),
        (f"reference_audio={AUDIO} is too long", "reference_audio=[key] is too long"),
        ("No such file: /home/u/voices/ada.wav", "No such file: [path]"),
        ("No such file:/srv/voices/ada", "No such file:[path]"),
        ("[Errno 2] No such file: '/home/ann lee/my voice.wav'", "[Errno 2] No such file: '[path]'"),
        ("file:///root/.cache/model.pt (missing)", "[path] (missing)"),
        ('File "/usr/lib/python3/x.py", line 3', 'File "[path]", line 3'),
        ("at /models/kokoro/v1.0/voice.safetensors:", "at [path]:"),
        (r"Can't open C:\Users\Ann Lee\voices\ada.wav today", r"Can't open [path] today"),
        (r"Can't open 'D:\\tts\\models\\a b.pt'", "Can't open '[path]'"),
        ("Can't open c:/tts/model.pt, sorry", "Can't open [path], sorry"),
        (r"Can't open \\server\share\a.wav", "Can't open [path]"),
    ],
)
def test_what_is_kept_back(said: str, shown: str) -> None:
    assert redacted(said) == shown
    assert redacted(shown) == shown, "once is enough"


@pytest.mark.parametrize(
    "said",
    [
        "Invalid URL (POST /v1/audio/speech)",
        "Not Found: /api/cosyvoice/tts/upload, /v1beta/models/gemini-2.5-flash-preview-tts:generateContent",
        "See https://platform.openai.com/docs/guides/error-codes/api-errors or http://127.0.0.1:9880/home/index.html",
        "The model `tts-9` does not exist or you do not have access to it.",
        "Invalid value: 'sk'. Supported values are: sk-SK-LukasNeural, sk-SK-ViktoriaNeural, sk-sk.",
        "sent were the voice “en-US-Ava:DragonHDLatestNeural” and the format audio-48khz-192kbitrate-mono-mp3",
        "quota GenerateRequestsPerDayPerProjectPerModel-FreeTier of generate_content_free_tier_requests, limit: 10",
        "Model speaches-ai/Kokoro-82M-v1.0-ONNX-fp16-with-a-long-name is not installed locally.",
        "Bearer token is missing. Bearer authentication or Basic auth is required.",
        "Invalid API key: please check it. API key: required",
        "speed: Input should be less than or equal to 4; max_tokens=4096, temperature=0.5",
        "request 550e8400-e29b-41d4-a716-446655440000 failed",
        "Either/or, and/or; 24/7. A task-manager, a disk-space-check, a tp-link-router.",
        "data: nothing, and no sound; data:x",
        "Error: C: is a drive; e:g. is not",
        "未找到角色: 小明。声音不存在/已删除",
        "runtime/voices/ada/reference.wav is missing",
        "CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 7.79 GiB total capacity)",
        "",
    ],
)
def test_ordinary_words_stay(said: str) -> None:
    assert redacted(said) == said


@pytest.mark.parametrize(
    "part",
    ["/", "a/", "data:", "data:a/b;", "key", "C:\\", "C:\\ \\", "sk-", "Bearer ", "tp-a", "-a", "=", "/a.py", "''"],
)
def test_a_long_text_takes_no_long_time(part: str) -> None:
    """Read again from every place, this much would take minutes; the suite's time limit would end it."""
    redacted(part * (100_000 // len(part)))


def test_a_message_is_scrubbed_of_all_of_it() -> None:
    config = ProviderConfig(id=1, name="Faraway", kind="openai", key="pass phrase")
    said = f"Key pass phrase, key sk-another-123456,\n file /home/u/a.wav, {AUDIO.rstrip('=') * 100}"
    assert scrubbed(said, config) == "Key [key], key [key], file [path], [key]"
