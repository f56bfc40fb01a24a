"""Voices of the catalogue are heard with one press, through the queue, by those who work with voices."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from banks.models import Character
from banks.samples import LONGEST, SAMPLES, sample
from providers.models import CatalogueModel, CatalogueVoice, Provider
from providers.queue import Priority
from tests.admin_pages import person
from tests.hearing import assert_heard
from tests.sounds import tone, wav_file
from tests.test_api_streams import eventually, free, snapshot
from tests.upstreams.openai import OpenAIUpstream, Refusal
from tests.upstreams.serving import WAIT_SECONDS, serve

VOICES = "/admin/providers/cataloguevoice/"
CHANGE, MAKE = "providers.change_provider", "banks.add_character"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin() -> Client:
    return person(superuser=True)


@pytest.fixture
def upstream() -> Iterator[OpenAIUpstream]:
    """A provider “Up” that lists the model “tts-1”, and the voice “alloy” without one."""
    app = OpenAIUpstream(key="sk-up")
    with serve(app) as url:
        provider = Provider.objects.create(name="Up", kind="openai", base_url=f"{url}/v1", api_key="sk-up")
        CatalogueVoice.objects.create(provider=provider, external_id="alloy", name="Alloy", language="en-US")
        CatalogueModel.objects.create(provider=provider, external_id="tts-1")
        yield app
        app.release(100)


def only() -> CatalogueVoice:
    return CatalogueVoice.objects.get()


def path(voice: CatalogueVoice | None = None) -> str:
    return f"/admin/listen/{(voice or only()).pk}/"


def reason(response: Any) -> str:
    assert response.headers["content-type"] == "application/json" and response.headers["cache-control"] == "no-store"
    return str(response.json()["error"]["message"])


# What is heard


def test_the_embedded_voice_is_heard(admin: Client) -> None:
    provider = Provider.objects.create(name="Inside", kind="embedded")
    CatalogueVoice.objects.create(provider=provider, external_id="heart", language="en-US", task_mode="preset")
    response = admin.post(path())
    assert (response.status_code, response.headers["content-type"]) == (200, "audio/mpeg")
    assert response.headers["cache-control"] == "no-store"
    assert_heard(SAMPLES["en"], response.content)


def test_a_voice_of_a_server_is_heard(admin: Client, upstream: OpenAIUpstream) -> None:
    assert_heard(SAMPLES["en"], admin.post(path()).content)
    (sent,) = upstream.spoken
    assert (sent["voice"], sent["input"], sent["response_format"]) == ("alloy", SAMPLES["en"], "mp3")


@pytest.mark.parametrize(
    ("voice_model", "option", "listed", "sent"),
    [
        ("gpt-4o-mini-tts", "tts-1", ["tts-1-hd"], "gpt-4o-mini-tts"),
        ("", "tts-1", ["tts-1-hd"], "tts-1"),
        ("", "", ["gpt-5", "tts-1", "tts-1-hd"], "tts-1"),
    ],
)
def test_the_model_is_the_voices_or_the_providers_or_the_first_for_speech(
    admin: Client, upstream: OpenAIUpstream, voice_model: str, option: str, listed: list[str], sent: str
) -> None:
    CatalogueVoice.objects.update(model=voice_model)
    provider = Provider.objects.get()
    provider.options = {"model": option} if option else {}
    provider.save()
    CatalogueModel.objects.all().delete()
    CatalogueModel.objects.bulk_create(CatalogueModel(provider=provider, external_id=id) for id in listed)
    CatalogueModel.objects.create(provider=provider, external_id="a-tts-of-old", vanished_at=timezone.now())
    assert admin.post(path()).status_code == 200
    assert upstream.spoken[0]["model"] == sent


def test_voices_that_are_tied_to_models_leave_the_others_to_the_kind(admin: Client, upstream: OpenAIUpstream) -> None:
    alloy = only()
    CatalogueVoice.objects.create(provider=alloy.provider, external_id="new", model="tts-9")
    refused = admin.post(path(alloy))
    assert refused.status_code == 500 and "model" in reason(refused)
    assert "model" not in upstream.spoken[0]


@pytest.mark.parametrize(
    ("language", "id", "code"),
    [
        ("de-AT", "", "de"),
        ("zh-CN", "", "zh"),
        ("cmn-Hans-CN", "", "zh"),
        ("zh-HK", "", "yue"),
        ("zh_HK-Hant", "", "yue"),
        ("Chinese", "", "zh"),
        ("中文", "", "zh"),
        ("Japanese, English", "", "ja"),
        ("pt_BR", "", "pt"),
        ("no", "", "nb"),
        ("English (US)", "", "en"),
        ("FR", "", "fr"),
        ("multilingual", "", "en"),
        ("xx-YY", "fr-FR-Denise", "en"),
        ("", "", "en"),
        ("", "fr-FR-DeniseNeural", "fr"),
        ("", "zh-HK-WanLungNeural", "yue"),
        ("", "en-us", "en"),
        ("", "de", "en"),
        ("-,;", "", "en"),
    ],
)
def test_the_sentence_is_in_the_voices_language(language: str, id: str, code: str) -> None:
    assert sample(language, id) == SAMPLES[code]


def test_sentences_are_short() -> None:
    assert len(set(SAMPLES.values())) == len(SAMPLES) and max(map(len, SAMPLES.values())) <= LONGEST


def test_a_german_voice_is_asked_for_german(admin: Client, upstream: OpenAIUpstream) -> None:
    upstream.switches.speech = wav_file(tone(24_000, 0.3), 24_000)
    upstream.switches.speech_type = "audio/wav"
    CatalogueVoice.objects.update(language="de-DE")
    response = admin.post(path())
    assert response.status_code == 200 and response.content
    assert upstream.spoken[0]["input"] == SAMPLES["de"] and "language" not in upstream.spoken[0]


# What goes wrong


@pytest.mark.parametrize(
    ("refusal", "status", "words"),
    [
        (Refusal(401, "Go away"), 500, "Go away"),
        (Refusal(404, "There is no model tts-1"), 500, "There is no model tts-1"),
        (Refusal(400, "<b>Strict</b>"), 500, "<b>Strict</b>"),
    ],
)
def test_the_providers_own_reason_comes_back(
    admin: Client, upstream: OpenAIUpstream, refusal: Refusal, status: int, words: str
) -> None:
    upstream.switches.refusals = [refusal]
    response = admin.post(path())
    assert response.status_code == status and words in reason(response) and "sk-up" not in reason(response)


def test_a_provider_that_is_off_is_not_asked(admin: Client, upstream: OpenAIUpstream) -> None:
    for values in ({"enabled": False}, {"enabled": True, "archived_at": timezone.now()}):
        Provider.objects.update(**values)
        assert "switched off" in reason(admin.post(path()))
    assert upstream.requests == []


def test_a_kind_that_is_gone_says_so(admin: Client, upstream: OpenAIUpstream) -> None:
    Provider.objects.update(kind="forgotten")
    assert "not part of this version" in reason(admin.post(path()))


@pytest.mark.parametrize("mode", ["clone", "design"])
def test_only_voices_that_speak_by_themselves(admin: Client, upstream: OpenAIUpstream, mode: str) -> None:
    assert path() in admin.get(VOICES).content.decode()
    CatalogueVoice.objects.update(task_mode=mode)
    assert path() not in admin.get(VOICES).content.decode()
    assert "through a character" in reason(admin.post(path()))
    assert upstream.requests == []


def test_a_key_that_can_not_be_decrypted_says_so(admin: Client, upstream: OpenAIUpstream) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE providers_provider SET api_key = 'gAAAAA-written-with-another-key'")
    assert "enter it again" in reason(admin.post(path()))


def test_endless_sound_is_cut(admin: Client, upstream: OpenAIUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("banks.listen.MAX_BYTES", 1000)
    assert "more sound" in reason(admin.post(path()))


def test_what_is_not_there_is_404(admin: Client) -> None:
    assert admin.post("/admin/listen/999/").status_code == 404
    assert admin.post(f"/admin/listen/{2**70}/").status_code == 404


# Rights


@pytest.mark.parametrize("rights", [(), ("providers.view_provider",), ("banks.view_character", "banks.change_bank")])
def test_without_the_right_nothing_is_spoken(upstream: OpenAIUpstream, rights: tuple[str, ...]) -> None:
    outsider = person(*rights)
    assert outsider.post(path()).status_code == 403
    if "providers.view_provider" in rights:
        assert "Alloy" in (page := outsider.get(VOICES).content.decode()) and "data-nr-listen=" not in page
    assert upstream.requests == []


def test_nobody_is_sent_to_the_sign_in(upstream: OpenAIUpstream) -> None:
    for client in (Client(), person(CHANGE, staff=False)):
        response = client.post(path())
        assert response.status_code == 302 and "/admin/login/" in response.headers["location"]
    assert upstream.requests == []


@pytest.mark.parametrize("right", [CHANGE, MAKE])
def test_those_who_work_with_voices_may_listen(upstream: OpenAIUpstream, right: str) -> None:
    worker = person(right, "providers.view_provider")
    assert f'data-nr-listen="{path()}"' in worker.get(VOICES).content.decode()
    assert worker.post(path()).status_code == 200


@pytest.mark.parametrize(("right", "offered"), [(MAKE, True), ("banks.change_character", False)])
def test_the_form_of_a_character_offers_it_to_those(upstream: OpenAIUpstream, right: str, offered: bool) -> None:
    provider = Provider.objects.get()
    character = Character.objects.create(name="Heart", provider=provider, voice="alloy")
    worker = person(right, "banks.view_character")
    page = worker.get(f"/admin/banks/character/{character.pk}/change/")
    assert page.status_code == 200
    assert ("data-nr-listen-beside" in page.content.decode()) is offered
    (voice,) = worker.get(f"/admin/banks/character/suggestions/?provider={provider.pk}").json()["voice"]
    assert voice["listen"] == only().pk


def test_only_a_post_with_its_token_counts(upstream: OpenAIUpstream) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = person(superuser=True).cookies
    assert strict.get(path()).status_code == 405
    assert strict.post(path()).status_code == 403
    assert upstream.requests == []


def test_hostile_names_are_only_text(admin: Client, upstream: OpenAIUpstream) -> None:
    CatalogueVoice.objects.update(name='"><script>alert(1)</script>')
    assert "<script>alert" not in admin.get(VOICES).content.decode()


# At the running server


@dataclass
class Listener:
    """Somebody's browser at the running server."""

    user_id: int | None
    name: str
    http: httpx.Client
    pool: ThreadPoolExecutor

    def press(self) -> Future[httpx.Response]:
        return self.pool.submit(self.http.post, path())


@pytest.fixture
def listener(server: str, upstream: OpenAIUpstream) -> Iterator[Listener]:
    """In front of a provider that answers nothing until it is released."""
    upstream.switches.held = True
    client = person(CHANGE)
    user = client.get(VOICES).wsgi_request.user
    cookies = {"sessionid": client.cookies["sessionid"].value, "csrftoken": "t" * 32}
    headers = {"X-CSRFToken": "t" * 32}
    with (
        ThreadPoolExecutor(4) as pool,
        httpx.Client(base_url=server, timeout=WAIT_SECONDS, trust_env=False, cookies=cookies, headers=headers) as http,
    ):
        yield Listener(user.pk, user.username, http, pool)
        upstream.release(100)


def test_the_queue_knows_who_listens(listener: Listener, upstream: OpenAIUpstream) -> None:
    asked = listener.press()
    upstream.wait_for(lambda app: app.current == 1)
    (ticket,) = snapshot().running
    assert (ticket.user_id, ticket.source, ticket.priority) == (listener.user_id, listener.name, Priority.INTERACTIVE)
    assert ticket.cost.characters == len(SAMPLES["en"]), "it counts for the provider's limits"
    upstream.release()
    assert asked.result().status_code == 200
    eventually(free)


def test_the_queue_can_cancel_it(listener: Listener, upstream: OpenAIUpstream) -> None:
    asked = listener.press()
    upstream.wait_for(lambda app: app.current == 1)
    assert listener.http.post("/admin/queue/cancel/", data={"ticket": "mine"}).status_code == 302
    answer = asked.result()
    assert answer.status_code == 503 and "cancelled" in reason(answer)
    upstream.wait_for(lambda app: app.disconnects == 1)
    eventually(free)


def test_who_stops_listening_gives_the_place_back(listener: Listener, upstream: OpenAIUpstream) -> None:
    headers = {"X-CSRFToken": "t" * 32, "Cookie": "; ".join(f"{k}={v}" for k, v in listener.http.cookies.items())}
    host, port = listener.http.base_url.host, listener.http.base_url.port
    with closing(HTTPConnection(host, port, timeout=WAIT_SECONDS)) as leaving:
        leaving.request("POST", path(), headers=headers)
        upstream.wait_for(lambda app: app.current == 1)
    upstream.wait_for(lambda app: app.disconnects == 1)
    eventually(free)
    assert snapshot().recent[-1].outcome == "left"
