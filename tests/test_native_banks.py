"""Banks, characters and memberships over the native API."""

from __future__ import annotations

from typing import Any

import pytest

from banks.models import Bank, Character, Membership, ReferenceAudio
from providers.audit import AuditEntry
from providers.models import Provider
from tests.native_api import Caller, code, keyed, names, param, session, without_limits

RIGHTS = [f"banks.{verb}_{model}" for verb in ("view", "add", "change", "delete") for model in ("bank", "character")]
RIGHTS += [f"banks.{verb}_membership" for verb in ("view", "add", "change", "delete")]


@pytest.fixture(autouse=True)
def unlimited(db: None) -> None:
    without_limits()


@pytest.fixture
def producer() -> Caller:
    return keyed(*RIGHTS)


@pytest.fixture
def provider() -> Provider:
    return Provider.objects.create(name="Here", kind="embedded")


@pytest.fixture
def heart(provider: Provider) -> Character:
    return Character.objects.create(name="Heart", provider=provider)


@pytest.fixture
def stories(heart: Character) -> Bank:
    bank = Bank.objects.create(name="Stories")
    Membership.objects.create(bank=bank, character=heart)
    return bank


def cloner() -> Provider:
    """A provider whose clones need a recording and its words."""
    return Provider.objects.create(name="Cloner", kind="gpt_sovits", base_url="http://127.0.0.1:9880")


# Banks.


def test_the_whole_life_of_a_bank(producer: Caller) -> None:
    made = producer.post("banks/", {"name": " Stories ", "description": "For the night.\n", "public": True})
    assert (made["name"], made["description"], made["active"], made["public"]) == (
        "Stories",
        "For the night.\n",
        True,
        True,
    )
    path = f"banks/{made['id']}/"
    assert made["character_count"] == 0 and producer.get(path) == made
    assert producer.patch(path, {"active": False, "position": 3})["active"] is False
    assert Bank.objects.get().position == 3
    producer.delete(path)
    producer.get(path, 404)
    assert [entry.change for entry in AuditEntry.objects.order_by("pk")] == ["added", "changed", "deleted"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "sTORIES"}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"name": {"a": 1}}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"description": 5}, "description"),
        ({"active": "true"}, "active"),
        ({"position": -1}, "position"),
        ({"position": 2**70}, "position"),
        ({"default_character": 999}, "default_character"),
        ({"default_character": "1"}, "default_character"),
        ({"default_character": True}, "default_character"),
        ({"default_character": 2**70}, "default_character"),
        ({"character_count": 5}, "character_count"),
        ({"characters": []}, "characters"),
    ],
    ids=range(15),
)
def test_what_a_bank_can_not_be(producer: Caller, stories: Bank, values: dict[str, Any], field: str) -> None:
    assert param(producer.post("banks/", {"name": "Other", **values}, 400)) == field
    path = f"banks/{Bank.objects.create(name='Second').pk}/"
    assert param(producer.patch(path, values, 400)) == field
    assert Bank.objects.count() == 2


def test_the_default_character_is_a_member(producer: Caller, stories: Bank, heart: Character) -> None:
    path = f"banks/{stories.pk}/"
    assert producer.patch(path, {"default_character": heart.pk})["default_character"] == heart.pk
    stranger = Character.objects.create(name="Stranger", provider=heart.provider)
    assert param(producer.patch(path, {"default_character": stranger.pk}, 400)) == "default_character"
    assert param(producer.post("banks/", {"name": "New", "default_character": heart.pk}, 400)) == "default_character"
    assert producer.patch(path, {"default_character": None})["default_character"] is None
    unequal = keyed("banks.view_bank", "banks.change_bank")
    unequal.patch(path, {"default_character": heart.pk}, 403)


def test_a_used_bank_is_archived(producer: Caller, stories: Bank) -> None:
    path = f"banks/{stories.pk}/"
    assert producer.delete(path, 200)["archived_at"]
    assert code(producer.patch(path, {"name": "x"}, 409)) == "conflict"
    assert names(producer.get("banks/?archived=true")) == ["Stories"]
    assert producer.post(path + "restore/", status=200)["archived_at"] is None


def test_banks_are_found(producer: Caller, stories: Bank, heart: Character) -> None:
    Bank.objects.create(name="Quiet", active=False, public=True)
    assert names(producer.get("banks/?active=true")) == ["Stories"]
    assert names(producer.get("banks/?public=true")) == ["Quiet"]
    assert names(producer.get("banks/?search=QUI")) == ["Quiet"]
    assert names(producer.get(f"banks/?character={heart.pk}")) == ["Stories"]
    assert names(producer.get("banks/?ordering=-name")) == ["Stories", "Quiet"]
    assert producer.get("banks/?search=Stories")["results"][0]["character_count"] == 1


# Characters.


def test_the_whole_life_of_a_character(producer: Caller, provider: Provider) -> None:
    body = {"name": "Heart", "provider": provider.pk, "voice": "heart", "aliases": ["narrator", " narrator ", "x"]}
    made = producer.post("characters/", body)
    assert (made["aliases"], made["task_mode"], made["speed"]) == (["narrator", "x"], "preset", 1.0)
    path = f"characters/{made['id']}/"
    assert made["banks"] == [] and made["avatar"] is None and producer.get(path) == made
    assert producer.patch(path, {"speed": 1.5, "aliases": []})["aliases"] == []
    assert Character.objects.get().speed == 1.5
    producer.delete(path)
    assert not Character.objects.exists()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a,b"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"provider": 999}, "provider"),
        ({"provider": None}, "provider"),
        ({"provider": "1"}, "provider"),
        ({"task_mode": "sing"}, "task_mode"),
        ({"task_mode": "clone"}, "task_mode"),
        ({"speed": 0.1}, "speed"),
        ({"speed": 5}, "speed"),
        ({"speed": "1"}, "speed"),
        ({"speed": True}, "speed"),
        ({"speed": 10**400}, "speed"),
        ({"aliases": "narrator"}, "aliases"),
        ({"aliases": [1]}, "aliases"),
        ({"aliases": ["a,b"]}, "aliases"),
        ({"aliases": ["x"] * 51}, "aliases"),
        ({"aliases": ["x" * 101]}, "aliases"),
        ({"options": {"teapot": 1}}, "options.teapot"),
        ({"options": "x"}, "options"),
        ({"reference": 999}, "reference"),
        ({"fallback": 999}, "fallback"),
        ({"voice": "v" * 201}, "voice"),
        ({"avatar": "x.png"}, "avatar"),
        ({"banks": [1]}, "banks"),
    ],
    ids=range(25),
)
def test_what_a_character_can_not_be(producer: Caller, provider: Provider, values: dict[str, Any], field: str) -> None:
    body = {"name": "Heart", "provider": provider.pk, **values}
    assert param(producer.post("characters/", body, 400)) == field
    assert not Character.objects.exists()


def test_a_clone_needs_what_its_provider_reads(producer: Caller) -> None:
    clone = {"name": "Twin", "provider": cloner().pk, "task_mode": "clone"}
    missing = producer.post("characters/", clone, 400)
    assert param(missing) in ("reference", "prompt_text", "prompt_language")
    recording = ReferenceAudio.objects.create(name="Voice", transcript="Hello.", language="en")
    assert producer.post("characters/", {**clone, "reference": recording.pk})["reference"] == recording.pk


def test_what_a_task_mode_does_not_read_is_refused_or_emptied(producer: Caller, provider: Provider) -> None:
    recording = ReferenceAudio.objects.create(name="Voice", transcript="Hello.", language="en")
    clone = {"name": "Twin", "provider": cloner().pk, "task_mode": "clone", "reference": recording.pk}
    path = f"characters/{producer.post('characters/', clone)['id']}/"
    refused = {"provider": provider.pk, "task_mode": "preset", "reference": recording.pk}
    assert param(producer.patch(path, refused, 400)) == "reference"
    changed = producer.patch(path, {"provider": provider.pk, "task_mode": "preset"})
    assert changed["reference"] is None and changed["provider"] == provider.pk


def test_a_character_can_not_choose_what_is_off(producer: Caller, heart: Character) -> None:
    off = Provider.objects.create(name="Off", kind="embedded", enabled=False)
    mute = Character.objects.create(name="Mute", provider=heart.provider, enabled=False)
    path = f"characters/{heart.pk}/"
    assert param(producer.patch(path, {"provider": off.pk}, 400)) == "provider"
    assert param(producer.patch(path, {"fallback": mute.pk}, 400)) == "fallback"
    assert param(producer.patch(path, {"fallback": heart.pk}, 400)) == "fallback"
    heart.provider.enabled = False
    heart.provider.save()
    assert producer.patch(path, {"provider": heart.provider_id, "speed": 2})["speed"] == 2


def test_a_used_character_is_archived(producer: Caller, stories: Bank, heart: Character) -> None:
    path = f"characters/{heart.pk}/"
    assert producer.delete(path, 200)["archived_at"]
    assert producer.get(f"banks/{stories.pk}/")["character_count"] == 0
    producer.patch(path, {"speed": 2}, 409)
    assert producer.post(path + "restore/", status=200)["banks"] == [stories.pk]


def test_characters_are_found(producer: Caller, stories: Bank, heart: Character) -> None:
    Character.objects.create(name="Herz", provider=cloner(), language="de-DE", enabled=False, voice="müller")
    asked = {
        "search=HEAR": ["Heart"],
        "search=müller": ["Herz"],
        "language=de": ["Herz"],
        "enabled=false": ["Herz"],
        f"provider={heart.provider_id}": ["Heart"],
        f"bank={stories.pk}": ["Heart"],
        "task_mode=preset&ordering=-name": ["Herz", "Heart"],
        "bank=9223372036854775807": [],
    }
    assert {query: names(producer.get(f"characters/?{query}")) for query in asked} == asked


# Memberships.


def test_the_whole_life_of_a_membership(producer: Caller, heart: Character) -> None:
    bank = Bank.objects.create(name="Stories")
    made = producer.post("memberships/", {"bank": bank.pk, "character": heart.pk, "position": 2})
    assert made["public_id"].startswith("voice_")
    path = f"memberships/{made['id']}/"
    assert producer.patch(path, {"position": 0})["position"] == 0
    for fixed in ({"bank": bank.pk}, {"character": heart.pk}):
        assert param(producer.patch(path, fixed, 400)) in fixed
    twice = producer.post("memberships/", {"bank": bank.pk, "character": heart.pk}, 400)
    assert param(twice) == "character"
    bank.default_character = heart
    bank.save()
    producer.delete(path)
    bank.refresh_from_db()
    assert bank.default_character is None and not Membership.objects.exists()


def test_a_place_is_for_what_is_there(producer: Caller, stories: Bank, heart: Character) -> None:
    off = Character.objects.create(name="Off", provider=heart.provider, enabled=False)
    assert param(producer.post("memberships/", {"bank": stories.pk, "character": off.pk}, 400)) == "character"
    assert param(producer.post("memberships/", {"bank": 999, "character": heart.pk}, 400)) == "bank"
    assert param(producer.post("memberships/", {"character": heart.pk}, 400)) == "bank"
    stories.remove()
    other = Character.objects.create(name="Other", provider=heart.provider)
    assert param(producer.post("memberships/", {"bank": stories.pk, "character": other.pk}, 400)) == "bank"


def test_places_are_found(producer: Caller, stories: Bank, heart: Character) -> None:
    second = Bank.objects.create(name="Second")
    Membership.objects.create(bank=second, character=heart, position=5)
    found = producer.get(f"memberships/?bank={second.pk}")
    assert [row["bank"] for row in found["results"]] == [second.pk]
    assert producer.get(f"memberships/?character={heart.pk}&ordering=-position")["results"][0]["bank"] == second.pk


def test_memberships_take_the_right_to_banks_or_characters_too(stories: Bank, heart: Character) -> None:
    alone = session(*(f"banks.{verb}_membership" for verb in ("view", "add", "change", "delete")))
    place = Membership.objects.get()
    alone.get("memberships/")
    alone.post("memberships/", {"bank": stories.pk, "character": heart.pk}, 403)
    alone.patch(f"memberships/{place.pk}/", {"position": 9}, 403)
    alone.delete(f"memberships/{place.pk}/", 403)


# Keys that are limited to banks.


@pytest.fixture
def limited(stories: Bank, heart: Character) -> Caller:
    """A manage key for “Stories” only; “Secret” is another bank, with a character of its own and with Heart."""
    secret = Bank.objects.create(name="Secret")
    hidden = Character.objects.create(name="Hidden", provider=heart.provider)
    Membership.objects.create(bank=secret, character=hidden)
    return keyed(*RIGHTS, "providers.view_provider", "api.view_apikey", banks=[stories])


def test_a_limited_key_sees_its_banks_only(limited: Caller, heart: Character) -> None:
    hidden, secret = Character.objects.get(name="Hidden"), Bank.objects.get(name="Secret")
    assert names(limited.get("banks/")) == ["Stories"]
    assert names(limited.get("characters/")) == ["Heart"]
    assert len(limited.get("memberships/")["results"]) == 1
    for path in (f"banks/{secret.pk}/", f"characters/{hidden.pk}/", f"memberships/{secret.memberships.get().pk}/"):
        limited.get(path, 404)
        limited.patch(path, {"position": 1}, 404)
        limited.delete(path, 404)
    for path in ("providers/", "voices/", "models/", "kinds/", "keys/", "settings/", "queue/"):
        limited.get(path, 403)


def test_a_limited_key_changes_nothing_of_other_banks(limited: Caller, stories: Bank, heart: Character) -> None:
    secret, hidden = Bank.objects.get(name="Secret"), Character.objects.get(name="Hidden")
    limited.post("banks/", {"name": "New"}, 403)
    limited.post("characters/", {"name": "New", "provider": heart.provider_id}, 403)
    assert param(limited.post("memberships/", {"bank": secret.pk, "character": heart.pk}, 400)) == "bank"
    assert param(limited.post("memberships/", {"bank": stories.pk, "character": hidden.pk}, 400)) == "character"
    assert param(limited.patch(f"characters/{heart.pk}/", {"fallback": hidden.pk}, 400)) == "fallback"
    assert limited.patch(f"characters/{heart.pk}/", {"speed": 2})["banks"] == [stories.pk]
    Membership.objects.create(bank=secret, character=heart)
    for answer in (
        limited.patch(f"characters/{heart.pk}/", {"speed": 3}, 403),
        limited.delete(f"characters/{heart.pk}/", 403),
        limited.post(f"characters/{heart.pk}/restore/", status=403),
    ):
        assert code(answer) == "permission_denied"
    assert limited.get(f"characters/{heart.pk}/")["banks"] == [stories.pk], "the other bank is not named"
    assert limited.patch(f"banks/{stories.pk}/", {"name": "Tales"})["name"] == "Tales"
