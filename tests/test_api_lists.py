from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from banks.models import Bank
from providers.models import Provider
from tests.conftest import add_character

NAMES = ["My Bank/角色", "a/b/c", "sp ace", "50% & more?", "Ünï#code", "tts-1", "🎭", "speech/", "..", "%2F"]


def test_models_are_active_banks(client_http: httpx.Client, bank: Bank) -> None:
    Bank.objects.create(name="Sleeping", active=False)
    for path in ("/v1/models", "/v1/models/", "/v1/audio/models"):
        body = client_http.get(path).json()
        assert body["object"] == "list" and body["data"] == body["models"]
        assert [model["id"] for model in body["data"]] == ["Stories"]
        model = body["data"][0]
        assert (model["object"], model["owned_by"]) == ("model", "neiroha")
        assert isinstance(model["created"], int) and model["created"] > 1_700_000_000
        assert model["voices"][0]["name"] == "Heart"


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("..", "speech/")])
def test_a_model_of_any_name_is_found_percent_encoded(client_http: httpx.Client, bank: Bank, name: str) -> None:
    Bank.objects.create(name=name)
    response = client_http.get("/v1/models/" + quote(name, safe=""))
    assert response.status_code == 200, response.text
    assert response.json()["id"] == name


def test_voices_carry_what_clients_read(client_http: httpx.Client, bank: Bank, embedded: Provider) -> None:
    games = Bank.objects.create(name="Games", position=1)
    games.memberships.create(character=bank.characters.get())
    body = client_http.get("/v1/audio/voices").json()
    assert body["voices"] == body["data"]
    assert [(voice["name"], voice["model"]) for voice in body["voices"]] == [("Heart", "Stories"), ("Heart", "Games")]
    assert len({voice["id"] for voice in body["voices"]}) == 2, "ids are unique across banks"
    voice = body["voices"][0]
    assert voice["id"] == voice["voice_id"] and voice["object"] == "audio.voice"
    assert (voice["provider"], voice["task_mode"]) == ("embedded", "preset")
    assert isinstance(voice["created_at"], int)
    only = client_http.get("/v1/audio/voices", params={"model": "games"}).json()
    assert [voice["model"] for voice in only["voices"]] == ["Games"]


def test_speakers_are_a_bare_list_whose_ids_speak(client_http: httpx.Client, bank: Bank) -> None:
    speakers = client_http.get("/speakers").json()
    assert isinstance(speakers, list)
    assert sorted(speakers[0]) == ["lang", "model", "name", "preview_url", "voice_id"]
    spoken = client_http.post("/v1/audio/speech", json={"input": "Hello.", "voice": speakers[0]["voice_id"]})
    assert spoken.status_code == 200


def test_order_is_by_position(client_http: httpx.Client, bank: Bank, embedded: Provider) -> None:
    Bank.objects.create(name="First", position=0)
    bank.position = 5
    bank.save()
    add_character(bank, embedded, "Zoe")
    heart = bank.memberships.get(character__name="Heart")
    heart.position = 9
    heart.save()
    assert [model["id"] for model in client_http.get("/v1/models").json()["data"]] == ["First", "Stories"]
    assert [voice["name"] for voice in client_http.get("/v1/audio/voices").json()["data"]] == ["Zoe", "Heart"]


def test_an_empty_installation_has_empty_lists(client_http: httpx.Client) -> None:
    assert client_http.get("/v1/models").json() == {"object": "list", "data": [], "models": []}
    assert client_http.get("/v1/audio/voices").json()["voices"] == []
    assert client_http.get("/speakers").json() == []


def test_names_are_sent_as_they_are_not_escaped(client_http: httpx.Client, server: str) -> None:
    Bank.objects.create(name="角色 <script>")
    response = client_http.get("/v1/models")
    assert "角色 <script>" in response.text
    assert response.headers["content-type"].startswith("application/json")


def test_health_answers(client_http: httpx.Client) -> None:
    response = client_http.get("/health")
    assert (response.status_code, response.json()["status"]) == (200, "ok")
    assert client_http.head("/health").status_code == 200
    assert client_http.head("/health").content == b""
