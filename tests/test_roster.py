from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.utils import timezone
from pytest_django import Settings

from banks.models import Bank, Character, ReferenceAudio
from banks.roster import ActiveBank, find_bank, find_speaker, load_roster
from providers.errors import VoiceNotFound
from providers.models import Provider
from providers.versions import current_version
from tests.conftest import add_character

pytestmark = pytest.mark.django_db


@pytest.fixture
def provider() -> Provider:
    return Provider.objects.create(name="Embedded", kind="embedded")


@pytest.fixture
def first(provider: Provider) -> Bank:
    bank = Bank.objects.create(name="First", position=1)
    add_character(bank, provider, "Anna", aliases=["narrator", "Erzählerin"])
    add_character(bank, provider, "Ben")
    return bank


@pytest.fixture
def second(provider: Provider) -> Bank:
    bank = Bank.objects.create(name="Second", position=2)
    add_character(bank, provider, "anna")
    add_character(bank, provider, "Cleo", aliases=["alloy"])
    return bank


def banks() -> tuple[ActiveBank, ...]:
    return load_roster().banks


def found(voice: str, model: str = "") -> tuple[str, str]:
    speaker = find_speaker(banks(), model, voice)
    return speaker.bank, speaker.name


def test_a_named_bank_is_searched_alone(first: Bank, second: Bank) -> None:
    assert found("anna", "Second") == ("Second", "anna")
    with pytest.raises(VoiceNotFound, match="in bank “First”"):
        find_speaker(banks(), "First", "Cleo")


def test_any_other_model_searches_all_banks_in_order(first: Bank, second: Bank) -> None:
    assert found("Cleo", "tts-1") == ("Second", "Cleo")
    assert found("ANNA", "tts-1") == ("First", "Anna")
    first.position = 3
    first.save()
    assert found("ANNA") == ("Second", "anna")


def test_an_exact_match_wins_over_one_without_regard_to_case(first: Bank, second: Bank) -> None:
    assert found("anna") == ("Second", "anna")
    assert found("Anna") == ("First", "Anna")


def test_aliases_and_ids_name_a_voice_too(first: Bank, second: Bank) -> None:
    assert found("NARRATOR") == ("First", "Anna")
    assert found("ERZÄHLERIN") == ("First", "Anna")
    assert found("Erza\u0308hlerin") == ("First", "Anna"), "decomposed letters are the same name"
    member = second.memberships.get(character__name="Cleo")
    assert found(member.public_id) == ("Second", "Cleo")
    assert found(member.public_id.upper()) == ("Second", "Cleo")


def test_a_name_goes_before_another_ones_alias(first: Bank, provider: Provider) -> None:
    add_character(first, provider, "narrator")
    assert found("narrator") == ("First", "narrator")


def test_bank_names_match_without_regard_to_case_and_exact_first(first: Bank) -> None:
    bank = find_bank(banks(), "fIRST")
    assert bank is not None and bank.name == "First"
    assert find_bank(banks(), "tts-1") is None


def test_the_default_character_answers_openais_names_that_nothing_else_has(first: Bank, second: Bank) -> None:
    with pytest.raises(VoiceNotFound):
        find_speaker(banks(), "", "nova")
    first.default_character = first.characters.get(name="Ben")
    first.save()
    assert found("nova") == ("First", "Ben")
    assert found("Nova", "tts-1") == ("First", "Ben")
    assert found("alloy") == ("Second", "Cleo"), "an alias of a character is not the default's"
    assert found("alloy", "First") == ("First", "Ben")
    with pytest.raises(VoiceNotFound):
        find_speaker(banks(), "", "nobody")


def test_what_is_off_or_archived_is_not_there(first: Bank, provider: Provider) -> None:
    anna = first.characters.get(name="Anna")
    anna.enabled = False
    anna.save()
    with pytest.raises(VoiceNotFound):
        find_speaker(banks(), "", "Anna")
    ben = first.characters.get(name="Ben")
    ben.archived_at = timezone.now()
    ben.save()
    assert banks()[0].speakers == ()


@pytest.mark.parametrize(
    "change", [{"enabled": False}, {"archived_at": timezone.now()}, {"kind": "of another version"}]
)
def test_a_provider_that_is_off_silences_its_characters(
    first: Bank, provider: Provider, change: dict[str, object]
) -> None:
    Provider.objects.update(**change)
    assert banks()[0].speakers == ()


@pytest.mark.parametrize("change", [{"active": False}, {"archived_at": timezone.now()}])
def test_a_bank_that_is_not_active_is_no_model(first: Bank, change: dict[str, object]) -> None:
    Bank.objects.update(**change)
    assert banks() == ()


def test_hints_name_near_voices_of_the_banks_given_only(first: Bank, second: Bank) -> None:
    with pytest.raises(VoiceNotFound) as caught:
        find_speaker(banks(), "First", "Bem")
    assert "Did you mean: Ben" in caught.value.message
    only_first = tuple(bank for bank in banks() if bank.name == "First")
    with pytest.raises(VoiceNotFound) as caught:
        find_speaker(only_first, "", "Clea")
    assert "Cleo" not in caught.value.message


def test_a_key_with_banks_sees_no_others(first: Bank, second: Bank) -> None:
    roster = load_roster()
    assert [bank.name for bank in roster.visible(frozenset({second.pk}))] == ["Second"]
    assert [bank.name for bank in roster.visible(None)] == ["First", "Second"]
    assert roster.visible(frozenset({-1})) == ()


def test_the_speaker_carries_the_adapters_defaults_and_the_providers_limits(first: Bank, provider: Provider) -> None:
    provider.max_concurrency = 7
    provider.save()
    speaker = find_speaker(banks(), "", "Anna")
    assert speaker.provider.max_concurrency == 7
    assert "key" not in repr(speaker.provider)


def test_a_key_that_can_not_be_decrypted_silences_its_provider_only(first: Bank, settings: Settings) -> None:
    locked = Provider.objects.create(name="Locked", kind="openai", base_url="http://127.0.0.1:9", api_key="sk-secret")
    add_character(first, locked, "Silent", voice="alloy")
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    assert found("Anna") == ("First", "Anna")
    assert "decrypted" in find_speaker(banks(), "", "Silent").provider.problem


@pytest.mark.django_db(transaction=True)
def test_a_providers_values_carry_the_version_that_they_are_of(provider: Provider) -> None:
    """By it the queue knows which of two callers has the newer ones."""
    first = provider.config()
    Bank.objects.create(name="Another")
    second = provider.config()
    assert 0 < first.version < second.version <= current_version()
    assert first == second, "a version alone gives the embedded voice no reason to be loaded anew"


def test_what_a_recording_says_may_stand_in_its_transcript() -> None:
    server = Provider.objects.create(name="Clones", kind="gpt_sovits", base_url="http://127.0.0.1:9880")
    recording = ReferenceAudio.objects.create(name="Ada", file="ada.wav")
    character = Character(name="Ada", provider=server, task_mode="clone", reference=recording, prompt_language="en")
    with pytest.raises(ValidationError) as caught:
        character.full_clean()
    assert "prompt_text" in caught.value.message_dict
    recording.transcript = "I am Ada."
    character.full_clean()
