"""A provider's switch and place in the order, changed from the list."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.utils import timezone

from banks.models import Bank
from providers.audit import AuditEntry
from providers.models import Provider
from providers.versions import current_version
from tests.admin_pages import person, provider_data

LIST = "/admin/providers/provider/"
ORDER = f"{LIST}order/"
CHANGE = "providers.change_provider"
OUTSIDERS = [(), ("providers.view_provider",), ("banks.change_bank", "banks.view_bank")]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin() -> Client:
    return person(superuser=True)


@pytest.fixture
def abc() -> list[Provider]:
    """In this order, though all have the same position, as the API may leave them."""
    return [Provider.objects.create(name=name, kind="embedded") for name in "abc"]


def names() -> str:
    return "".join(Provider.objects.present().defer("api_key").values_list("name", flat=True))


def url(provider: Provider, view: str) -> str:
    return f"{LIST}{provider.pk}/{view}/"


def audited() -> list[tuple[str, str, str]]:
    return [(entry.object_name, entry.change, entry.details) for entry in AuditEntry.objects.order_by("pk")]


def button(client: Client, provider: Provider, query: str = "") -> str | None:
    page = client.get(LIST + query).content.decode()
    found = re.search(rf'<button class="nr-switch"[^>]*id="nr-switch-{provider.pk}"[^>]*>[^<]*', page)
    return found[0] if found else None


# The switch


def test_a_provider_is_switched_in_the_list(admin: Client, abc: list[Provider]) -> None:
    shown = button(admin, abc[0])
    assert shown is not None
    for part in (
        'role="switch"',
        'aria-checked="true"',
        'aria-label="a: enabled"',
        'value="off"',
        url(abc[0], "switch"),
    ):
        assert part in shown
    before = current_version()
    response = admin.post(url(abc[0], "switch"), {"enabled": "off"}, follow=True)
    assert "“a” is switched off: no character speaks through it" in response.content.decode()
    assert response.redirect_chain == [(f"{LIST}#nr-switch-{abc[0].pk}", 302)]
    abc[0].refresh_from_db(fields=["enabled"])
    assert not abc[0].enabled and current_version() > before
    assert 'aria-checked="false"' in (button(admin, abc[0]) or "")
    admin.post(url(abc[0], "switch"), {"enabled": "on"})
    assert Provider.objects.get(pk=abc[0].pk).enabled
    assert audited() == [("a", "changed", "Switched off."), ("a", "changed", "Switched on.")]


def test_the_name_leads_to_its_page(admin: Client, abc: list[Provider]) -> None:
    page = admin.get(LIST).content.decode()
    linked = re.findall(r'<a href="[^"]*/(\d+)/change/[^"]*"[^>]*>\s*(\w*)', page)
    assert linked == [(str(provider.pk), provider.name) for provider in abc]


def test_what_is_so_already_is_no_change(admin: Client, abc: list[Provider]) -> None:
    before = current_version()
    assert admin.post(url(abc[0], "switch"), {"enabled": "on"}).status_code == 302
    assert current_version() == before and audited() == []


@pytest.mark.parametrize("data", [{}, {"enabled": ""}, {"enabled": "toggle"}])
def test_a_switch_without_a_state_changes_nothing(admin: Client, abc: list[Provider], data: dict[str, str]) -> None:
    assert admin.post(url(abc[0], "switch"), data).status_code == 400
    assert Provider.objects.get(pk=abc[0].pk).enabled


def test_the_list_comes_back_as_it_was_filtered(admin: Client, abc: list[Provider]) -> None:
    here = f"http://testserver{LIST}?enabled__exact=1"
    back = admin.post(url(abc[0], "switch"), {"enabled": "off"}, headers={"referer": here})
    assert back.headers["location"] == f"{here}#nr-switch-{abc[0].pk}"
    elsewhere = admin.post(url(abc[0], "switch"), {"enabled": "on"}, headers={"referer": "https://evil.example/"})
    assert elsewhere.headers["location"].startswith(LIST)


def test_what_can_not_be_switched_has_no_switch(admin: Client, abc: list[Provider]) -> None:
    forgotten = Provider.objects.create(name="old", kind="forgotten")
    Provider.objects.filter(pk=abc[0].pk).update(archived_at=timezone.now())
    assert button(admin, forgotten) is None and button(admin, abc[0], "?archived=yes") is None
    for provider in (forgotten, abc[0]):
        assert admin.post(url(provider, "switch"), {"enabled": "off"}).status_code == 403
        assert Provider.objects.get(pk=provider.pk).enabled


def test_a_key_that_can_not_be_decrypted_stops_neither(admin: Client, abc: list[Provider]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE providers_provider SET api_key = 'gAAAAA-written-with-another-key'")
    assert admin.post(url(abc[0], "switch"), {"enabled": "off"}).status_code == 302
    assert admin.post(url(abc[2], "shift"), {"by": "-1"}).status_code == 302
    assert admin.post(ORDER, {"pk": [abc[1].pk, abc[0].pk]}).status_code == 204
    rows = Provider.objects.order_by("position").values_list("name", "enabled")
    assert list(rows) == [("b", True), ("c", True), ("a", False)]


# The order


@pytest.mark.parametrize(
    ("moved", "by", "after"),
    [(1, "-1", "bac"), (1, "1", "acb"), (0, "-1", "abc"), (2, "1", "abc"), (2, "-1", "acb")],
)
def test_a_provider_moves_by_one_place(admin: Client, abc: list[Provider], moved: int, by: str, after: str) -> None:
    before = current_version()
    response = admin.post(url(abc[moved], "shift"), {"by": by})
    way = "up" if by == "-1" else "down"
    assert response.headers["location"] == f"{LIST}#nr-{way}-{abc[moved].pk}"
    assert names() == after
    assert audited() == ([("abc"[moved], "changed", "Moved in the order.")] if after != "abc" else [])
    assert current_version() > before


def test_a_dragged_list_is_stored(admin: Client, abc: list[Provider]) -> None:
    assert admin.post(ORDER, {"pk": [abc[2].pk, abc[0].pk, abc[1].pk]}).status_code == 204
    assert names() == "cab"
    assert audited() == [("c", "changed", "Moved in the order.")]
    assert admin.post(ORDER, {"pk": [abc[2].pk, abc[0].pk, abc[1].pk]}).status_code == 204
    assert len(audited()) == 1, "nothing moved"


@pytest.mark.parametrize(
    ("sent", "after"),
    [
        (["c", "a"], "cba"),
        (["b", "b", "a"], "bac"),
        ([], "abc"),
        (["x", "-1", "9" * 30, "1.5", "c", "b", "a"], "cba"),
    ],
)
def test_a_part_of_the_list_is_ordered_in_its_own_places(
    admin: Client, abc: list[Provider], sent: list[str], after: str
) -> None:
    keys = {provider.name: str(provider.pk) for provider in abc}
    assert admin.post(ORDER, {"pk": [keys.get(one, one) for one in sent]}).status_code == 204
    assert names() == after


def test_archived_ones_stay_out_of_it(admin: Client, abc: list[Provider]) -> None:
    Provider.objects.filter(pk=abc[1].pk).update(archived_at=timezone.now())
    admin.post(url(abc[2], "shift"), {"by": "-1"})
    assert names() == "ca"
    assert admin.post(url(abc[1], "shift"), {"by": "-1"}).status_code == 403


def test_a_new_provider_comes_last(admin: Client, abc: list[Provider]) -> None:
    admin.post(url(abc[2], "shift"), {"by": "-1"})
    admin.post(f"{LIST}add/?kind=embedded", provider_data(name="d", time_zone="UTC"))
    assert names() == "acbd"
    admin.post(f"{LIST}{abc[0].pk}/change/", provider_data(name="A", time_zone="UTC"))
    assert names() == "Acbd", "saving its page leaves it where it is"


def test_lists_follow_the_order(admin: Client, abc: list[Provider]) -> None:
    admin.post(ORDER, {"pk": [abc[2].pk, abc[1].pk, abc[0].pk]})
    assert [provider.name for provider in admin.get(LIST).context["cl"].result_list] == ["c", "b", "a"]
    assert [entry["provider"].name for entry in admin.get("/admin/").context["providers"]] == ["c", "b", "a"]
    choices = admin.get("/admin/banks/character/add/").content.decode()
    assert re.findall(r"\?provider=(\d+)", choices) == [str(provider.pk) for provider in reversed(abc)]
    voices = admin.get("/admin/providers/cataloguevoice/").content.decode()
    assert re.findall(r"\?provider=(\d+)", voices)[:3] == [str(provider.pk) for provider in reversed(abc)]


@pytest.mark.parametrize("query", ["?q=a", "?o=1", "?enabled__exact=1", "?archived=yes"])
def test_only_the_whole_list_can_be_ordered(admin: Client, abc: list[Provider], query: str) -> None:
    assert "nr-order" in admin.get(LIST).content.decode()
    assert "nr-order" not in admin.get(LIST + query).content.decode()


# Rights


@pytest.mark.parametrize("rights", OUTSIDERS)
def test_without_the_right_nothing_is_switched_or_moved(abc: list[Provider], rights: tuple[str, ...]) -> None:
    outsider = person(*rights)
    if rights == ("providers.view_provider",):
        page = outsider.get(LIST).content.decode()
        assert "nr-switch" not in page and "nr-order" not in page
    assert outsider.post(url(abc[0], "switch"), {"enabled": "off"}).status_code == 403
    assert outsider.post(url(abc[2], "shift"), {"by": "-1"}).status_code == 403
    assert outsider.post(ORDER, {"pk": [abc[2].pk, abc[0].pk]}).status_code == 403
    assert names() == "abc" and all(Provider.objects.values_list("enabled", flat=True))
    assert not LogEntry.objects.exists()


def test_nobody_is_sent_to_the_sign_in(abc: list[Provider]) -> None:
    posts: list[tuple[str, dict[str, Any]]] = [
        (url(abc[0], "switch"), {"enabled": "off"}),
        (url(abc[2], "shift"), {"by": "-1"}),
        (ORDER, {"pk": [abc[2].pk, abc[0].pk]}),
    ]
    for client in (Client(), person(CHANGE, staff=False)):
        for path, data in posts:
            response = client.post(path, data)
            assert response.status_code == 302 and "/admin/login/" in response.headers["location"]
    assert names() == "abc" and all(Provider.objects.values_list("enabled", flat=True))


def test_the_right_to_change_is_enough(abc: list[Provider]) -> None:
    changer = person(CHANGE)
    changer.post(url(abc[0], "switch"), {"enabled": "off"})
    changer.post(url(abc[2], "shift"), {"by": "-1"})
    assert names() == "acb" and not Provider.objects.get(pk=abc[0].pk).enabled


def test_only_a_post_with_its_token_counts(abc: list[Provider]) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = person(superuser=True).cookies
    for path in (url(abc[0], "switch"), url(abc[0], "shift"), ORDER):
        assert strict.get(path).status_code == 405
        assert strict.post(path, {"enabled": "off", "by": "1"}).status_code == 403
    assert names() == "abc" and Provider.objects.get(pk=abc[0].pk).enabled


def test_what_is_not_there_is_404(admin: Client) -> None:
    for view in ("switch", "shift"):
        assert admin.post(f"{LIST}999/{view}/", {"enabled": "on", "by": "1"}).status_code == 404


def test_hostile_names_are_only_text(admin: Client, abc: list[Provider]) -> None:
    Provider.objects.filter(pk=abc[0].pk).update(name='"><script>alert(1)</script>')
    page = admin.get(LIST).content.decode()
    assert "<script>alert" not in page and page.count("&lt;script&gt;alert(1)") >= 4
    response = admin.post(url(abc[0], "switch"), {"enabled": "off"}, follow=True)
    assert "<script>alert" not in response.content.decode()


def test_a_bank_of_a_provider_that_is_off_has_no_voice(admin: Client, abc: list[Provider]) -> None:
    bank = Bank.objects.create(name="Stories")
    character = bank.characters.create(name="Heart", provider=abc[0])
    shown = admin.get("/admin/").content.decode()
    assert character.name in shown
    admin.post(url(abc[0], "switch"), {"enabled": "off"})
    entry = admin.get("/admin/").context["banks"][0]
    assert entry["members"] == []
