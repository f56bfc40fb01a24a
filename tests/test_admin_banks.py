from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.admin.models import LogEntry
from django.test import Client

from api.models import ApiKey
from banks.models import Bank, CacheUse, Character, Membership
from banks.roster import load_roster
from banks.speech_store import Kept, SpeechStore, speaker_folder
from providers.audit import AuditEntry
from providers.models import Provider
from providers.versions import current_version
from tests.admin_pages import errors, memberships, person

LIST = "/admin/banks/bank/"
ADD = LIST + "add/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    return person(superuser=True)


@pytest.fixture
def heart() -> Character:
    provider = Provider.objects.create(name="Embedded", kind="embedded")
    return Character.objects.create(name="Heart", provider=provider)


@pytest.fixture
def stories(heart: Character) -> Bank:
    bank = Bank.objects.create(name="Stories", default_character=heart)
    Membership.objects.create(bank=bank, character=heart)
    return bank


def bank_data(**values: object) -> dict[str, object]:
    return {"name": "Stories", "active": "on", "position": "0", **values}


def change(bank: Bank) -> str:
    return f"{LIST}{bank.pk}/change/"


def place(membership: Membership, **values: object) -> dict[str, object]:
    return {"id": membership.pk, "bank": membership.bank_id, **values}


def test_a_bank_is_added_with_its_characters_and_its_default(admin: Client, heart: Character) -> None:
    rows = memberships({"character": heart.pk, "position": "3"})
    response = admin.post(ADD, bank_data(default_character=heart.pk, description="Evenings", **rows))
    assert response.status_code == 302, errors(response)
    bank = Bank.objects.get()
    assert (bank.name, bank.active, bank.default_character) == ("Stories", True, heart)
    assert list(bank.memberships.values_list("character", "position")) == [(heart.pk, 3)]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"position": "-1"}, "position"),
        ({"position": ""}, "position"),
    ],
)
def test_what_can_not_be_stored_is_said_at_its_field(admin: Client, values: dict[str, str], field: str) -> None:
    assert list(errors(admin.post(ADD, bank_data(**values, **memberships())))) == [field]
    assert not Bank.objects.exists()


def test_a_name_is_taken_in_any_case_until_its_owner_is_archived(admin: Client, stories: Bank) -> None:
    assert list(errors(admin.post(ADD, bank_data(name="STORIES", **memberships())))) == ["name"]
    stories.remove()
    assert admin.post(ADD, bank_data(name="STORIES", **memberships())).status_code == 302


def test_the_default_character_is_one_of_the_members(admin: Client, stories: Bank, heart: Character) -> None:
    other = Character.objects.create(name="Other", provider=heart.provider)
    member = stories.memberships.get()
    rows = memberships(place(member, character=heart.pk), initial=1)
    response = admin.post(change(stories), bank_data(default_character=other.pk, **rows))
    assert "The default character must be one of the bank" in response.content.decode()

    leaving = memberships(place(member, character=heart.pk, DELETE="on"), initial=1)
    response = admin.post(change(stories), bank_data(default_character=heart.pk, **leaving))
    assert "The default character must be one of the bank" in response.content.decode()
    assert stories.memberships.count() == 1

    assert admin.post(change(stories), bank_data(**leaving)).status_code == 302
    stories.refresh_from_db()
    assert (stories.default_character, stories.memberships.count()) == (None, 0)


def test_a_member_is_there_once_and_keeps_its_character(admin: Client, stories: Bank, heart: Character) -> None:
    other = Character.objects.create(name="Other", provider=heart.provider)
    member = stories.memberships.get()
    twice = memberships(place(member, character=heart.pk), {"character": heart.pk}, initial=1)
    response = admin.post(change(stories), bank_data(default_character=heart.pk, **twice))
    assert response.status_code == 200
    assert stories.memberships.count() == 1
    swapped = memberships(place(member, character=other.pk, position="5"), initial=1)
    admin.post(change(stories), bank_data(default_character=heart.pk, **swapped))
    member.refresh_from_db()
    assert (member.character, member.position) == (heart, 5)


def test_archived_and_disabled_characters_can_not_be_chosen(admin: Client, stories: Bank, heart: Character) -> None:
    hidden = Character.objects.create(name="Hidden", provider=heart.provider, archived_at="2026-01-01T00:00Z")
    silent = Character.objects.create(name="Silent", provider=heart.provider, enabled=False)
    member = place(stories.memberships.get(), character=heart.pk)
    for unfit in (hidden, silent):
        rows = memberships(member, {"character": unfit.pk}, initial=1)
        assert admin.post(change(stories), bank_data(**rows)).status_code == 200
        response = admin.post(change(stories), bank_data(default_character=unfit.pk, **memberships(member, initial=1)))
        assert list(errors(response)) == ["default_character"]
    assert stories.memberships.count() == 1


def test_a_member_that_is_archived_later_stays_editable(admin: Client, stories: Bank, heart: Character) -> None:
    assert heart.remove()
    rows = memberships(place(stories.memberships.get(), character=heart.pk, position="2"), initial=1)
    response = admin.post(change(stories), bank_data(default_character=heart.pk, **rows))
    assert response.status_code == 302, errors(response)
    assert stories.memberships.get().position == 2


def test_removing_a_membership_elsewhere_takes_the_default_along(
    admin: Client, stories: Bank, heart: Character
) -> None:
    stories.memberships.get().delete()
    stories.refresh_from_db()
    assert stories.default_character is None


def test_a_used_bank_is_archived_and_comes_back(admin: Client, stories: Bank) -> None:
    key, _secret = ApiKey.objects.issue(name="Kitchen")
    key.banks.add(stories)
    page = admin.get(f"{LIST}{stories.pk}/delete/").content.decode()
    assert "API key “Kitchen”" in page and "character “Heart”" in page
    admin.post(f"{LIST}{stories.pk}/delete/")
    stories.refresh_from_db()
    assert stories.archived_at
    assert list(key.banks.all()) == [stories]
    assert 'name="name"' not in admin.get(change(stories)).content.decode()
    Bank.objects.create(name="stories")
    refused = admin.post(f"{LIST}{stories.pk}/restore/", follow=True)
    assert "Rename that one first" in refused.content.decode()
    Bank.objects.get(name="stories").delete()
    admin.post(f"{LIST}{stories.pk}/restore/")
    stories.refresh_from_db()
    assert stories.archived_at is None


def test_an_empty_bank_is_deleted(admin: Client) -> None:
    bank = Bank.objects.create(name="Empty")
    admin.post(f"{LIST}{bank.pk}/delete/")
    assert not Bank.objects.exists()


def test_the_list_counts_and_searches(admin: Client, stories: Bank) -> None:
    Bank.objects.create(name="Other")
    found = admin.get(LIST + "?q=stor").context["cl"].queryset
    assert [(bank.name, bank.members_now) for bank in found] == [("Stories", 1)]


def test_whoever_may_not_change_the_members_may_not_choose_the_default(stories: Bank, heart: Character) -> None:
    editor = person("banks.change_bank")
    other = Character.objects.create(name="Other", provider=heart.provider)
    response = editor.post(change(stories), bank_data(name="Renamed", default_character=other.pk))
    assert response.status_code == 302, errors(response)
    stories.refresh_from_db()
    assert (stories.name, stories.default_character) == ("Renamed", heart)


@pytest.mark.parametrize("rights", [[], ["banks.view_bank"], ["banks.change_character"]])
def test_without_the_right_nothing_changes(stories: Bank, rights: list[str]) -> None:
    viewer = person(*rights)
    assert viewer.get(ADD).status_code == 403
    assert viewer.post(change(stories), bank_data(name="Mine", **memberships())).status_code == 403
    assert viewer.post(f"{LIST}{stories.pk}/delete/").status_code == 403
    assert viewer.post(f"{LIST}{stories.pk}/restore/").status_code == 403
    viewer.post(LIST, {"action": "delete_selected", "_selected_action": [stories.pk], "post": "yes"})
    stories.refresh_from_db()
    assert (stories.name, stories.archived_at) == ("Stories", None)


# The switch and the order of the list.


@pytest.fixture
def three(stories: Bank) -> list[Bank]:
    return [stories, *(Bank.objects.create(name=name, position=position) for position, name in [(4, "News"), (4, "X")])]


def names() -> list[str]:
    return [bank.name for bank in Bank.objects.present()]


def test_the_switch_works_without_opening_the_bank(admin: Client, stories: Bank) -> None:
    page = admin.get(LIST).content.decode()
    assert f'formaction="{LIST}{stories.pk}/switch/"' in page and 'role="switch" aria-checked="true"' in page
    response = admin.post(
        f"{LIST}{stories.pk}/switch/", {"active": "off"}, headers={"referer": f"http://testserver{LIST}?q=s"}
    )
    assert response["Location"] == f"http://testserver{LIST}?q=s#nr-switch-{stories.pk}"
    stories.refresh_from_db()
    assert not stories.active and load_roster().banks == ()
    assert LogEntry.objects.get().get_change_message() == "Switched off."
    admin.post(f"{LIST}{stories.pk}/switch/", {"active": "on"})
    assert [bank.name for bank in load_roster().banks] == ["Stories"]


@pytest.mark.parametrize("elsewhere", ["", "https://evil.example/", "//evil.example/x", "javascript:alert(1)"])
def test_the_switch_leads_nowhere_else(admin: Client, stories: Bank, elsewhere: str) -> None:
    response = admin.post(f"{LIST}{stories.pk}/switch/", {"active": "on"}, headers={"referer": elsewhere})
    assert response["Location"] == f"{LIST}#nr-switch-{stories.pk}"


def test_banks_go_up_and_down_and_stay_at_the_ends(admin: Client, three: list[Bank]) -> None:
    assert names() == ["Stories", "News", "X"]
    for bank, by, wanted in [
        (2, "-1", ["Stories", "X", "News"]),
        (2, "-1", ["X", "Stories", "News"]),
        (2, "-1", ["X", "Stories", "News"]),
        (1, "1", ["X", "Stories", "News"]),
        (0, "1", ["X", "News", "Stories"]),
    ]:
        assert admin.post(f"{LIST}{three[bank].pk}/shift/", {"by": by}).status_code == 302
        assert names() == wanted
    assert [bank.name for bank in load_roster().banks] == ["X", "News", "Stories"]


def test_a_dragged_order_leaves_the_banks_that_are_not_shown_in_their_places(admin: Client, three: list[Bank]) -> None:
    stories, news, last = three
    assert admin.post(f"{LIST}order/", {"pk": [last.pk, stories.pk]}).status_code == 204
    assert names() == ["X", "News", "Stories"]
    odd = ["999", "x", "", "²", "9" * 30, str(news.pk), str(news.pk), str(last.pk)]
    assert admin.post(f"{LIST}order/", {"pk": odd}).status_code == 204
    assert names() == ["News", "X", "Stories"]
    assert [bank.position for bank in Bank.objects.all()] == [0, 1, 2]


def test_a_new_order_is_in_force_at_once(
    admin: Client, three: list[Bank], django_capture_on_commit_callbacks: Any
) -> None:
    version = current_version()
    with django_capture_on_commit_callbacks(execute=True):
        admin.post(f"{LIST}order/", {"pk": [bank.pk for bank in reversed(three)]})
    assert current_version() > version
    assert [bank.name for bank in load_roster().banks] == ["X", "News", "Stories"]


def test_a_list_in_another_order_has_no_handles(admin: Client, stories: Bank) -> None:
    assert "data-nr-order=" in admin.get(LIST).content.decode()
    assert "data-nr-order=" not in admin.get(f"{LIST}?o=2").content.decode()


@pytest.mark.parametrize("rights", [[], ["banks.view_bank"], ["banks.change_character"]])
def test_outsiders_switch_and_order_nothing(three: list[Bank], rights: list[str]) -> None:
    bank = three[0]
    for outsider, status in ((person(*rights), 403), (person(staff=False), 302), (Client(), 302)):
        assert outsider.post(f"{LIST}{bank.pk}/switch/", {"active": "off"}).status_code in (status, 302)
        assert outsider.post(f"{LIST}{bank.pk}/shift/", {"by": "1"}).status_code in (status, 302)
        assert outsider.post(f"{LIST}order/", {"pk": [three[1].pk, bank.pk]}).status_code == status
    bank.refresh_from_db()
    assert bank.active and names() == ["Stories", "News", "X"]
    if "banks.view_bank" in rights:
        page = person(*rights).get(LIST).content.decode()
        assert "/switch/" not in page and "/shift/" not in page and "/export/" not in page


def test_buttons_are_posts_with_a_token(stories: Bank) -> None:
    admin = Client(enforce_csrf_checks=True)
    admin.cookies = person(superuser=True).cookies
    for end in ("switch", "shift"):
        assert admin.get(f"{LIST}{stories.pk}/{end}/").status_code == 405
        assert admin.post(f"{LIST}{stories.pk}/{end}/").status_code == 403
    assert admin.get(f"{LIST}order/").status_code == 405
    assert admin.post(f"{LIST}order/").status_code == 403


def test_an_archived_bank_is_neither_switched_nor_moved(admin: Client, three: list[Bank]) -> None:
    stories = three[0]
    assert stories.remove()
    assert admin.post(f"{LIST}{stories.pk}/switch/", {"active": "off"}).status_code == 403
    assert admin.post(f"{LIST}{stories.pk}/shift/", {"by": "1"}).status_code == 403
    assert "/switch/" not in admin.get(f"{LIST}?archived=yes").content.decode()


def test_pages_cost_the_same_however_much_there_is(
    admin: Client, stories: Bank, heart: Character, django_assert_max_num_queries: Any
) -> None:
    """Of queries."""
    people = Character.objects.bulk_create(
        Character(name=f"Voice {number}", provider=heart.provider) for number in range(60)
    )
    Membership.objects.bulk_create(Membership(bank=stories, character=one) for one in people)
    banks = Bank.objects.bulk_create(Bank(name=f"Bank {number}") for number in range(40))
    Membership.objects.bulk_create(Membership(bank=bank, character=heart) for bank in banks)
    pages = [LIST, change(stories), "/admin/banks/character/", f"/admin/banks/character/?bank={stories.pk}"]
    for page in [*pages, f"/admin/banks/character/{heart.pk}/change/"]:
        with django_assert_max_num_queries(15):
            assert admin.get(page).status_code == 200


# Kept speech


def kept(bank: Bank, *, hits: int = 0, misses: int = 0) -> SpeechStore:
    """A bank that keeps speech, with two answers in its store."""
    Bank.objects.filter(pk=bank.pk).update(cache_speech=True)
    CacheUse.objects.create(bank=bank, hits=hits, misses=misses)
    store = SpeechStore()
    store.forget(bank.pk)
    for number in range(2):
        store.write(f"{speaker_folder(bank.pk, 'voice')}/{number}", Kept(b"sound" * 100))
    return store


@pytest.fixture
def own_store(settings: LazySettings, tmp_path: Path) -> None:
    """Where the server of other tests, which lives on, does not remove what belongs to no character."""
    settings.DATA_DIR = tmp_path


def test_a_bank_is_set_to_keep_speech(admin: Client, stories: Bank) -> None:
    assert b"Kept speech" not in admin.get(change(stories)).content
    response = admin.post(change(stories), bank_data(cache_speech="on", **memberships()))
    assert response.status_code == 302, errors(response)
    assert load_roster().banks[0].speakers[0].cache_bank == stories.pk


@pytest.mark.usefixtures("own_store")
def test_the_page_shows_what_is_kept_and_clears_it(admin: Client, stories: Bank) -> None:
    store = kept(stories, hits=3, misses=2)
    page = admin.get(change(stories)).content.decode()
    assert "in 2 files" in page and "3 of 5 requests cost no call" in page
    url = f"{LIST}{stories.pk}/clear-speech/"
    assert url in page and admin.get(url).status_code == 405 and store.usage(stories.pk).files == 2
    assert admin.post(url).status_code == 302
    assert store.usage(stories.pk).files == 0 and not CacheUse.objects.exists()
    assert AuditEntry.objects.filter(object_id=str(stories.pk)).count() == 1
    assert "in 0 files" in admin.get(change(stories)).content.decode()


@pytest.mark.usefixtures("own_store")
def test_who_may_only_look_can_not_clear(stories: Bank) -> None:
    store, viewer = kept(stories), person("banks.view_bank")
    url = f"{LIST}{stories.pk}/clear-speech/"
    page = viewer.get(change(stories)).content.decode()
    assert "in 2 files" in page and url not in page and "Clear the kept speech" not in page
    assert viewer.post(url).status_code == 403 and Client().post(url).status_code == 302
    assert store.usage(stories.pk).files == 2
