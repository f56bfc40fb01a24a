"""What providers offer: searched, filtered, read-only lists with entries of one's own; suggestions for characters."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from banks.forms import MAX_SUGGESTIONS
from banks.models import Character
from providers.models import CatalogueModel, CatalogueVoice, Provider
from tests.admin_pages import errors, person

VOICES = "/admin/providers/cataloguevoice/"
MODELS = "/admin/providers/cataloguemodel/"
SUGGESTIONS = "/admin/banks/character/suggestions/"
SCRIPT = "<script>alert(1)</script>"

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    return person(superuser=True)


@pytest.fixture
def cloud() -> Provider:
    """A provider with three voices: listed, vanished and entered by hand."""
    provider = Provider.objects.create(name="Cloud", kind="openai", base_url="http://127.0.0.1:9")
    described = {"language": "de-DE", "gender": "female", "styles": ["calm", "sad"], "model": "m1"}
    CatalogueVoice.objects.create(
        provider=provider, external_id="de-Anna", name="Anna", task_mode="preset", **described
    )
    CatalogueVoice.objects.create(provider=provider, external_id="old", vanished_at=timezone.now())
    CatalogueVoice.objects.create(provider=provider, external_id="mine", by_hand=True)
    CatalogueModel.objects.create(provider=provider, external_id="m1", name="Model one")
    return provider


@pytest.fixture
def other() -> Provider:
    provider = Provider.objects.create(name="Other", kind="embedded")
    CatalogueVoice.objects.create(provider=provider, external_id="elsewhere")
    return provider


def shown(client: Client, query: str = "", path: str = VOICES) -> list[str]:
    return [entry.external_id for entry in client.get(path + query).context["cl"].result_list]


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [entry["id"] for entry in found]


def test_the_list_is_one_providers(admin: Client, cloud: Provider, other: Provider) -> None:
    page = admin.get(f"{VOICES}?provider={cloud.pk}")
    assert [entry.external_id for entry in page.context["cl"].result_list] == ["de-Anna", "mine", "old"]
    text = page.content.decode()
    for word in ("Anna", "de-DE", "female", "calm, sad", "preset", "Vanished", "By hand", "Listed"):
        assert word in text, word
    assert f"/admin/providers/provider/{cloud.pk}/change/" in text
    assert ">Cloud</td>" not in text and "Other" in admin.get(VOICES).content.decode()
    assert shown(admin) == ["de-Anna", "elsewhere", "mine", "old"]
    assert shown(admin, f"?provider={cloud.pk}", MODELS) == ["m1"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=anna", ["de-Anna"]),
        ("q=de-de", ["de-Anna"]),
        ("q=calm", ["de-Anna"]),
        ("q=nothing", []),
        ("origin=vanished", ["old"]),
        ("origin=hand", ["mine"]),
        ("origin=listed", ["de-Anna"]),
        ("origin=%27", ["de-Anna", "mine", "old"]),
        ("task_mode__exact=preset", ["de-Anna"]),
        ("provider=%27", ["de-Anna", "mine", "old"]),
        ("provider=99999999999999999999999", []),
    ],
)
def test_the_list_is_searched_and_filtered(admin: Client, cloud: Provider, query: str, found: list[str]) -> None:
    assert shown(admin, f"?{query}") == found


def test_thousands_of_voices_come_in_pages_for_few_queries(admin: Client, cloud: Provider) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert len(admin.get(f"{VOICES}?provider={cloud.pk}").content) < 1_000_000
        return len(captured)

    queries()
    few = queries()
    rows = [CatalogueVoice(provider=cloud, external_id=f"v{number:05}") for number in range(5000)]
    CatalogueVoice.objects.bulk_create(rows)
    assert queries() <= few
    assert len(shown(admin, f"?provider={cloud.pk}")) == 100
    assert shown(admin, f"?provider={cloud.pk}&p=50")[0] == "v04897"


def test_hostile_names_are_only_text(admin: Client, cloud: Provider) -> None:
    hostile = {"name": SCRIPT, "language": SCRIPT, "styles": [SCRIPT], "description": SCRIPT}
    voice = CatalogueVoice.objects.create(provider=cloud, external_id=SCRIPT, **hostile)
    Provider.objects.filter(pk=cloud.pk).update(name=SCRIPT)
    for path in (VOICES, f"{VOICES}?provider={cloud.pk}", f"{VOICES}{voice.pk}/change/"):
        text = admin.get(path).content.decode()
        assert SCRIPT not in text and "&lt;script&gt;" in text, path


def test_what_was_listed_is_read_only(admin: Client, cloud: Provider) -> None:
    anna = CatalogueVoice.objects.get(external_id="de-Anna")
    page = admin.get(f"{VOICES}{anna.pk}/change/")
    assert page.status_code == 200 and 'name="external_id"' not in page.content.decode()
    assert admin.post(f"{VOICES}{anna.pk}/change/", {"external_id": "x"}).status_code == 403
    assert admin.post(f"{VOICES}{anna.pk}/delete/", {"post": "yes"}).status_code == 403
    both = [anna.pk, CatalogueVoice.objects.get(external_id="mine").pk]
    admin.post(VOICES, {"action": "delete_selected", "_selected_action": both, "post": "yes"})
    assert CatalogueVoice.objects.filter(pk__in=both).count() == 2


def test_entries_of_ones_own(admin: Client, cloud: Provider) -> None:
    form = admin.get(f"{VOICES}add/?provider={cloud.pk}").context["adminform"].form
    assert str(form["provider"].value()) == str(cloud.pk)
    data = {"provider": cloud.pk, "external_id": "secret-voice", "name": "Secret", "styles": "calm\nangry, sad"}
    response = admin.post(f"{VOICES}add/", {**data, "task_mode": "clone"})
    assert response.status_code == 302, errors(response)
    voice = CatalogueVoice.objects.get(external_id="secret-voice")
    assert voice.by_hand and voice.styles == ["calm", "angry", "sad"] and voice.task_mode == "clone"
    assert errors(admin.post(f"{VOICES}add/", data)), "the same twice"
    assert "task_mode" in errors(admin.post(f"{VOICES}add/", {**data, "external_id": "b", "task_mode": "fly"}))

    changed = admin.post(f"{VOICES}{voice.pk}/change/", {"external_id": "secret-voice", "name": "Open"})
    assert changed.status_code == 302, errors(changed)
    voice.refresh_from_db()
    assert (voice.name, voice.provider_id) == ("Open", cloud.pk)
    assert admin.post(f"{VOICES}{voice.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not CatalogueVoice.objects.filter(pk=voice.pk).exists()

    admin.post(f"{MODELS}add/", {"provider": cloud.pk, "external_id": "m2"})
    assert CatalogueModel.objects.get(external_id="m2").by_hand


def test_what_vanished_can_be_deleted(admin: Client, cloud: Provider) -> None:
    old = CatalogueVoice.objects.get(external_id="old")
    assert admin.post(f"{VOICES}{old.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not CatalogueVoice.objects.filter(pk=old.pk).exists()


def test_rights_are_those_of_providers(cloud: Provider) -> None:
    mine = CatalogueVoice.objects.get(external_id="mine")
    viewer = person("providers.view_provider")
    assert shown(viewer) == ["de-Anna", "mine", "old"]
    assert viewer.get(f"{VOICES}add/").status_code == 403
    assert viewer.post(f"{VOICES}{mine.pk}/change/", {"external_id": "x"}).status_code == 403
    assert viewer.post(f"{VOICES}{mine.pk}/delete/", {"post": "yes"}).status_code == 403
    # The catalogue's own rights give nothing.
    for nobody in (person(), person("providers.view_cataloguevoice", "providers.delete_cataloguevoice")):
        for path in (VOICES, MODELS, f"{VOICES}{mine.pk}/change/"):
            assert nobody.get(path).status_code == 403
    assert person("providers.change_provider").get(f"{VOICES}add/").status_code == 200
    assert Client().get(VOICES).status_code == 302


# Suggestions for the character's form


def suggested(client: Client, provider: Provider) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{SUGGESTIONS}?provider={provider.pk}").json()
    return found


def test_a_character_is_offered_what_the_provider_lists(admin: Client, cloud: Provider, other: Provider) -> None:
    found = suggested(admin, cloud)
    assert ids(found["voice"]) == ["de-Anna", "mine"]
    assert found["voice"][0]["label"] == "Anna · de-DE · female · m1 · preset"
    assert found["model"] == [{"id": "m1", "label": "Model one"}]
    assert found["note"]["text"] == ""


def test_the_form_says_where_suggestions_are(admin: Client, cloud: Provider) -> None:
    heart = Character.objects.create(name="Heart", provider=cloud, voice="typed-by-hand")
    for path in (f"/admin/banks/character/{heart.pk}/change/", f"/admin/banks/character/add/?provider={cloud.pk}"):
        page = admin.get(path).content.decode()
        assert f'data-nr-suggestions="{SUGGESTIONS}"' in page
        assert 'list="nr-voice-list"' in page and 'list="nr-model-list"' in page


def test_a_large_catalogue_is_cut_and_leads_to_its_page(admin: Client, cloud: Provider) -> None:
    rows = [CatalogueVoice(provider=cloud, external_id=f"v{number:05}") for number in range(3000)]
    CatalogueVoice.objects.bulk_create(rows)
    found = suggested(admin, cloud)
    assert len(found["voice"]) == MAX_SUGGESTIONS
    assert str(MAX_SUGGESTIONS) in found["note"]["text"]
    assert found["note"]["url"] == f"{VOICES}?provider={cloud.pk}"


def test_an_empty_catalogue_says_what_to_do(admin: Client, cloud: Provider) -> None:
    CatalogueVoice.objects.all().delete()
    note = suggested(admin, cloud)["note"]
    assert note["url"] == f"/admin/providers/provider/{cloud.pk}/change/" and "Fetch all" in note["action"]
    without = suggested(person("banks.change_character"), cloud)["note"]
    assert without["text"] and not without["url"] and not without["action"]


def test_suggestions_are_for_those_who_make_characters(cloud: Provider) -> None:
    assert ids(suggested(person("banks.add_character"), cloud)["voice"]) == ["de-Anna", "mine"]
    for nobody in (person(), person("banks.view_character"), person("providers.view_provider")):
        assert nobody.get(f"{SUGGESTIONS}?provider={cloud.pk}").status_code == 403
    assert Client().get(SUGGESTIONS).status_code == 302


@pytest.mark.parametrize("query", ["", "?provider=", "?provider=x", "?provider=999", "?provider=" + "9" * 30])
def test_suggestions_of_nobody_are_404(admin: Client, query: str) -> None:
    assert admin.get(SUGGESTIONS + query).status_code == 404


def test_a_key_that_can_not_be_decrypted_breaks_no_list(admin: Client, cloud: Provider) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE providers_provider SET api_key = 'gAAAAA-written-with-another-key'")
    voice = CatalogueVoice.objects.get(external_id="mine")
    listed = f"{VOICES}?provider={cloud.pk}"
    for path in (VOICES, listed, MODELS, f"{VOICES}add/", f"{VOICES}{voice.pk}/change/"):
        assert admin.get(path).status_code == 200, path
    assert ids(suggested(admin, cloud)["voice"]) == ["de-Anna", "mine"]
