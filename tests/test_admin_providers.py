from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client

from banks.models import Character
from providers import adapters
from providers.models import Provider
from providers.versions import current_version
from tests import admin_pages
from tests.admin_pages import errors, person

LIST = "/admin/providers/provider/"
ADD = LIST + "add/"
SECRET = "sk-very-secret-indeed"
EVERYTHING: dict[str, str] = {"base_url": "http://127.0.0.1:9", "key": SECRET}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def everything_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(adapters._KINDS, "everything", "tests.everything_adapter.EverythingAdapter")


@pytest.fixture
def admin() -> Client:
    return person(superuser=True)


@pytest.fixture
def keyed() -> Provider:
    return Provider.objects.create(name="Studio", kind="everything", base_url="http://127.0.0.1:9", api_key=SECRET)


def provider_data(**values: Any) -> dict[str, Any]:
    return admin_pages.provider_data(**{"time_zone": "UTC", **values})


def change(provider: Provider) -> str:
    return f"{LIST}{provider.pk}/change/"


def test_adding_starts_with_the_kinds_and_what_they_lack_here(admin: Client) -> None:
    page = admin.get(ADD).content.decode()
    assert "?kind=embedded" in page and "?kind=openai" in page
    assert "Everything &lt;kind&gt;" in page and "It needs a machine that does not exist." in page
    assert "Everything <kind>" not in page


@pytest.mark.parametrize("kind", ["nothing", "", "../embedded", "<script>"])
def test_an_unknown_kind_leads_back_to_the_choice(admin: Client, kind: str) -> None:
    response = admin.post(f"{ADD}?kind={kind}", provider_data())
    assert "Which kind of provider?" in response.content.decode()
    assert not Provider.objects.exists()


def test_the_fields_follow_from_what_the_kind_needs(admin: Client) -> None:
    plain = set(admin.get(f"{ADD}?kind=embedded").context["adminform"].form.fields)
    assert not plain & {"base_url", "kind", "api_key"}
    fields = admin.get(f"{ADD}?kind=everything").context["adminform"].form.fields
    assert {"base_url", "key", "option_region", "option_retries", "option_warm", "option_title"} <= set(fields)
    assert fields["base_url"].required
    page = admin.get(f"{ADD}?kind=everything").content.decode()
    assert 'name="key"' in page and 'type="password"' in page
    assert 'name="key"' not in admin.get(f"{ADD}?kind=embedded").content.decode()
    assert re.search(r'name="max_concurrency"[^>]*value="7"|value="7"[^>]*name="max_concurrency"', page)


def test_a_provider_is_stored_with_typed_options_and_an_encrypted_key(admin: Client) -> None:
    values = {**EVERYTHING, "option_region": "south", "option_retries": "3", "option_title": "<script>"}
    response = admin.post(f"{ADD}?kind=everything", provider_data(requests_per_day="250", **values))
    assert response.status_code == 302, errors(response)
    provider = Provider.objects.get()
    assert (provider.kind, provider.requests_per_day, provider.api_key) == ("everything", 250, SECRET)
    assert provider.options == {"region": "south", "retries": 3, "title": "<script>", "warm": False}
    with connection.cursor() as cursor:
        cursor.execute("SELECT api_key FROM providers_provider")
        assert SECRET not in cursor.fetchone()[0]


def test_empty_options_follow_the_kind(admin: Client) -> None:
    admin.post(f"{ADD}?kind=everything", provider_data(**EVERYTHING, option_warm="on"))
    assert Provider.objects.get().options == {"warm": True}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"base_url": ""}, "base_url"),
        ({"base_url": "ftp://host"}, "base_url"),
        ({"base_url": "http://user:word@host"}, "base_url"),
        ({"base_url": "http://host:99999"}, "base_url"),
        ({"base_url": "http://" + "h" * 500}, "base_url"),
        ({"key": ""}, "key"),
        ({"key": "k" * 4001}, "key"),
        ({"max_concurrency": "0"}, "max_concurrency"),
        ({"max_concurrency": "65"}, "max_concurrency"),
        ({"requests_per_minute": "-1"}, "requests_per_minute"),
        ({"tokens_per_day": "many"}, "tokens_per_day"),
        ({"timeout_seconds": "0"}, "timeout_seconds"),
        ({"time_zone": "Nowhere/Land"}, "time_zone"),
        ({"time_zone": ""}, "time_zone"),
        ({"piece_characters": "100001"}, "piece_characters"),
        ({"option_retries": "6"}, "option_retries"),
        ({"option_retries": "1.5"}, "option_retries"),
        ({"option_region": "west"}, "option_region"),
        ({"option_title": "t" * 2001}, "option_title"),
    ],
)
def test_what_can_not_be_stored_is_said_at_its_field(admin: Client, values: dict[str, str], field: str) -> None:
    response = admin.post(f"{ADD}?kind=everything", provider_data(**{**EVERYTHING, **values}))
    assert list(errors(response)) == [field]
    assert not Provider.objects.exists()


@pytest.mark.parametrize("zone", ["Nowhere/Land", "../UTC", "U\x07TC", "Europe"])
def test_a_zone_that_is_none_is_said_beside_todays_use(admin: Client, zone: str) -> None:
    """Which the page counts since midnight in the zone that is stored."""
    provider = Provider.objects.create(name="Up", kind="embedded", time_zone="Europe/Berlin")
    response = admin.post(change(provider), provider_data(name="Up", time_zone=zone))
    assert list(errors(response)) == ["time_zone"] and "since midnight (Europe/Berlin)" in response.content.decode()
    assert Provider.objects.get().time_zone == "Europe/Berlin"


def test_a_name_is_taken_in_any_case_until_its_owner_is_archived(admin: Client) -> None:
    first = Provider.objects.create(name="Studio", kind="embedded")
    Character.objects.create(name="Heart", provider=first)
    taken = errors(admin.post(f"{ADD}?kind=embedded", provider_data(name="sTUDIO")))
    assert taken == {"name": ["There is one with this name already."]}
    assert first.remove()
    assert admin.post(f"{ADD}?kind=embedded", provider_data(name="sTUDIO")).status_code == 302


def test_a_hostile_name_is_only_text(admin: Client) -> None:
    Provider.objects.create(name="<script>alert(1)</script>", kind="embedded")
    for path in (LIST, "/admin/", change(Provider.objects.get())):
        page = admin.get(path).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page


def test_the_kind_is_fixed_afterwards(admin: Client, keyed: Provider) -> None:
    moved = "http://127.0.0.1:9/v1"
    response = admin.post(change(keyed) + "?kind=embedded", provider_data(base_url=moved, kind="embedded"))
    assert response.status_code == 302, errors(response)
    keyed.refresh_from_db()
    assert (keyed.kind, keyed.base_url, keyed.name) == ("everything", moved, "Provider")


def test_an_empty_key_field_keeps_the_key_and_no_page_shows_it(admin: Client, keyed: Provider) -> None:
    pages = [admin.get(path) for path in (LIST, "/admin/", change(keyed), f"{LIST}{keyed.pk}/delete/")]
    response = admin.post(change(keyed), provider_data(base_url="http://127.0.0.1:9/v1"), follow=True)
    assert "was changed successfully" in response.content.decode()
    history = admin.get(f"{LIST}{keyed.pk}/history/")
    keyed.refresh_from_db()
    assert keyed.api_key == SECRET
    assert not any(SECRET in page.content.decode() for page in [*pages, response, history])
    assert "A key is stored." in pages[2].content.decode()


@pytest.mark.parametrize("elsewhere", ["http://127.0.0.1:10", "https://127.0.0.1:9", "http://evil.example:9/v1"])
def test_a_stored_key_does_not_follow_to_another_server(admin: Client, keyed: Provider, elsewhere: str) -> None:
    """Whoever may change a provider could else read its key at an address of their own."""
    found = errors(admin.post(change(keyed), provider_data(base_url=elsewhere)))
    assert list(found) == ["key"] and "another server" in found["key"][0]
    keyed.refresh_from_db()
    assert (keyed.base_url, keyed.api_key) == ("http://127.0.0.1:9", SECRET)
    assert admin.post(change(keyed), provider_data(base_url=elsewhere, key="sk-again")).status_code == 302


def test_a_new_key_replaces_the_old_one_and_is_not_echoed_with_errors(admin: Client, keyed: Provider) -> None:
    broken = admin.post(change(keyed), provider_data(base_url="nowhere", key="sk-new"))
    assert "sk-new" not in broken.content.decode()
    admin.post(change(keyed), provider_data(base_url="http://b", key="sk-new"))
    keyed.refresh_from_db()
    assert keyed.api_key == "sk-new"
    messages = [entry.change_message for entry in LogEntry.objects.all()]
    assert messages and not any("sk-" in message for message in messages)


def test_a_key_can_be_removed_where_the_kind_works_without(admin: Client, keyed: Provider) -> None:
    needed = errors(admin.post(change(keyed), provider_data(base_url="http://b", remove_key="on")))
    assert needed == {"key": ["This kind of provider needs a key."]}
    both = errors(admin.post(change(keyed), provider_data(base_url="http://b", remove_key="on", key="sk-2")))
    assert list(both) == ["remove_key"]

    free = Provider.objects.create(name="House", kind="openai", base_url="http://127.0.0.1:9", api_key=SECRET)
    assert admin.post(change(free), provider_data(base_url="http://b", remove_key="on")).status_code == 302
    free.refresh_from_db()
    assert free.api_key == ""


def test_a_key_that_can_not_be_decrypted_breaks_no_page_and_can_be_replaced(admin: Client, keyed: Provider) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE providers_provider SET api_key = 'gAAAAA-written-with-another-key'")
    Character.objects.create(name="Heart", provider_id=keyed.pk, task_mode="preset", voice="a")
    character = f"/admin/banks/character/{Character.objects.get().pk}/change/"
    for path in (LIST, "/admin/", change(keyed), "/admin/banks/character/", character):
        assert admin.get(path).status_code == 200, path
    assert admin.post(change(keyed), provider_data(base_url="http://b", key="sk-new")).status_code == 302
    assert Provider.objects.get().api_key == "sk-new"


def test_a_kind_that_is_gone_can_be_seen_and_archived(admin: Client) -> None:
    old = Provider.objects.create(name="Old", kind="forgotten")
    Character.objects.create(name="Heart", provider=old)
    for path in (LIST, "/admin/", change(old), "/admin/banks/character/"):
        assert admin.get(path).status_code == 200, path
    assert admin.post(change(old), provider_data()).status_code == 403
    assert admin.post(f"{LIST}{old.pk}/delete/").status_code == 302
    old.refresh_from_db()
    assert old.archived_at


def test_deleting_lists_the_users_and_archives(admin: Client, keyed: Provider) -> None:
    Character.objects.create(name="<b>Heart", provider=keyed)
    page = admin.get(f"{LIST}{keyed.pk}/delete/").content.decode()
    assert "character “&lt;b&gt;Heart”" in page and ">Archive<" in page
    response = admin.post(f"{LIST}{keyed.pk}/delete/", follow=True)
    assert "it was archived" in response.content.decode()
    keyed.refresh_from_db()
    assert keyed.archived_at is not None
    assert list(response.context["cl"].queryset) == []
    assert list(admin.get(LIST + "?archived=yes").context["cl"].queryset) == [keyed]


def test_deleting_what_nothing_uses_deletes(admin: Client, keyed: Provider) -> None:
    assert ">Delete<" in admin.get(f"{LIST}{keyed.pk}/delete/").content.decode()
    assert "was deleted" in admin.post(f"{LIST}{keyed.pk}/delete/", follow=True).content.decode()
    assert not Provider.objects.exists()
    assert LogEntry.objects.get().object_id == str(keyed.pk)


def test_deleting_many_asks_once_and_archives_what_is_used(admin: Client, keyed: Provider) -> None:
    unused = Provider.objects.create(name="Unused", kind="embedded")
    Character.objects.create(name="Heart", provider=keyed)
    data: dict[str, Any] = {"action": "delete_selected", "_selected_action": [keyed.pk, unused.pk]}
    asked = admin.post(LIST, data)
    assert "Archive what is used, delete the rest" in asked.content.decode()
    assert Provider.objects.count() == 2
    assert admin.post(LIST, {**data, "post": "yes"}).status_code == 302
    keyed.refresh_from_db()
    assert keyed.archived_at is not None
    assert not Provider.objects.filter(pk=unused.pk).exists()


def test_an_archived_provider_is_read_only_until_it_is_restored(admin: Client, keyed: Provider) -> None:
    Character.objects.create(name="Heart", provider=keyed)
    keyed.remove()
    page = admin.get(change(keyed)).content.decode()
    assert "Archived on" in page and 'name="base_url"' not in page and SECRET not in page
    assert admin.post(change(keyed), provider_data(base_url="http://b")).status_code == 403
    assert admin.get(f"{LIST}{keyed.pk}/restore/").status_code == 405
    before = current_version()
    assert "is back" in admin.post(f"{LIST}{keyed.pk}/restore/", follow=True).content.decode()
    keyed.refresh_from_db()
    assert keyed.archived_at is None
    assert keyed.api_key == SECRET
    assert before <= current_version()


def test_restoring_under_a_name_that_is_taken_says_so(admin: Client, keyed: Provider) -> None:
    Character.objects.create(name="Heart", provider=keyed)
    keyed.remove()
    Provider.objects.create(name="STUDIO", kind="embedded")
    response = admin.post(f"{LIST}{keyed.pk}/restore/", follow=True)
    assert "Rename that one first" in response.content.decode()
    keyed.refresh_from_db()
    assert keyed.archived_at is not None


def test_missing_rows_are_404_or_lead_home(admin: Client) -> None:
    assert admin.get(f"{LIST}999/delete/").status_code == 404
    assert admin.post(f"{LIST}999/restore/").status_code == 404
    assert admin.get(f"{LIST}abc/delete/").status_code == 404
    assert admin.get(f"{LIST}999/change/").status_code == 302


@pytest.mark.parametrize("rights", [[], ["providers.view_provider"], ["banks.change_bank"]])
def test_without_the_right_nothing_changes(keyed: Provider, rights: list[str]) -> None:
    viewer = person(*rights)
    assert viewer.get(ADD).status_code == 403
    assert viewer.post(f"{ADD}?kind=embedded", provider_data()).status_code == 403
    assert viewer.post(change(keyed), provider_data(base_url="http://b")).status_code == 403
    assert viewer.post(f"{LIST}{keyed.pk}/delete/").status_code == 403
    assert viewer.post(f"{LIST}{keyed.pk}/restore/").status_code == 403
    seen = viewer.get(change(keyed))
    assert seen.status_code == (200 if "providers.view_provider" in rights else 403)
    assert SECRET not in seen.content.decode()
