"""Who speaks for the names of a script."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User

from banks.models import Bank, Character
from providers.models import Provider
from studio import lines
from studio.lines import Draft
from studio.models import CastEntry, Project
from studio.pages.cast import A_PAGE
from studio.roles import roles_of
from tests.conftest import add_character
from tests.hearing import assert_heard
from tests.projects import RIGHTS, address, said, voiced
from tests.studio import browser_of, clear_files, signed_in, somebody

pytestmark = pytest.mark.django_db
type Change = tuple[str, str, str]


@pytest.fixture(autouse=True)
def no_files() -> Iterator[None]:
    yield
    clear_files()


@pytest.fixture
def stories() -> Bank:
    bank = Bank.objects.create(name="Stories", position=5)
    provider = Provider.objects.create(name="Inside", kind="embedded")
    add_character(bank, provider, "Heart")
    add_character(Bank.objects.create(name="Games"), provider, "Knight", speed=1.2)
    return bank


@pytest.fixture
def heart(stories: Bank) -> Character:
    return Character.objects.get(name="Heart")


@pytest.fixture
def knight(stories: Bank) -> Character:
    return Character.objects.get(name="Knight")


@pytest.fixture
def ann() -> User:
    return somebody("ann", *RIGHTS, "studio.add_take")


@pytest.fixture
def play(ann: User, stories: Bank) -> Project:
    return Project.objects.create(name="Play", kind="dialogue", owner=ann, bank=stories, format="wav")


def save(user: User, project: Project, *changes: Change) -> str:
    """Each a name, what its select held, and what it holds now."""
    names, was, characters = zip(*changes, strict=True)
    data = {"speaker": names, "was": was, "character": characters}
    return said(signed_in(user).post(address(project, "cast/"), data, follow=True))


def test_names_without_a_character_come_first_and_lines_without_a_name_are_there(
    ann: User, play: Project, heart: Character, knight: Character
) -> None:
    CastEntry.objects.create(project=play, speaker="Ann", character=heart)
    CastEntry.objects.create(project=play, speaker="Later", character=heart)
    lines.add(play, [Draft("1.", "Ann"), Draft("2.", "Ann"), Draft("3."), Draft("4.", "Bob"), Draft("5.", "Bob")])
    lines.add(play, [Draft("6.", "Both", character_id=heart.pk), Draft("7.", "Both", character_id=knight.pk)])
    found = [(role.speaker, role.lines, role.character_id, role.mixed) for role in roles_of(play)]
    assert found == [
        ("Bob", 2, None, False),
        ("", 1, None, False),
        ("Ann", 2, heart.pk, False),
        ("Both", 2, None, True),
        ("Later", 0, heart.pk, False),
    ]
    page = said(signed_in(ann).get(address(play, "cast/")))
    assert "2 names without a character" in page and "Lines without a name" in page
    assert "Different characters: leave them" in page and "no lines now" in page


def test_the_projects_bank_is_offered_first_and_everybody_once(
    ann: User, play: Project, stories: Bank, heart: Character, knight: Character
) -> None:
    stories.append(knight)
    Character.objects.create(name="Loner <b>", provider=heart.provider)
    lines.add(play, [Draft("1.", "Ann")])
    page = said(signed_in(ann).get(address(play, "cast/")))
    select = page.split('<select class="nr-select"')[1].split("</select>")[0]
    assert re.findall(r'label="([^"]+)"', select) == ["Stories", "In no bank"]
    assert re.findall(r"<option value=\"\d+\">([^<]+)", select) == ["Heart", "Knight", "Loner &lt;b&gt;"]


def test_all_are_saved_at_once_and_remembered(ann: User, play: Project, heart: Character, knight: Character) -> None:
    voiced(play, ann, heart, "One.")
    lines.add(play, [Draft("Two.", "Ann"), Draft("Three.", "Bob")])
    page = save(ann, play, ("Ann", "", str(heart.pk)), ("Bob", "", str(knight.pk)), ("", str(heart.pk), str(knight.pk)))
    assert "The cast is saved; it changed 3 lines." in page
    assert [line.character for line in play.lines.all()] == [knight, heart, knight]
    assert play.lines.counts() == {"stale": 1, "missing": 2}
    (later,) = lines.add(play, [Draft("Four.", "Bob")])
    assert later.character == knight
    save(ann, play, ("Bob", str(knight.pk), ""))
    assert not play.cast.filter(speaker="Bob").exists()


def test_what_was_not_changed_on_the_page_stays_as_others_made_it(
    ann: User, play: Project, heart: Character, knight: Character
) -> None:
    lines.add(play, [Draft("One.", "Ann"), Draft("Two.", "Bob")])
    lines.cast(play, "Ann", knight)  # somebody else's, after the page was opened
    save(ann, play, ("Ann", "", ""), ("Bob", "", str(heart.pk)), ("Odd", "keep", "keep"))
    assert [line.character for line in play.lines.all()] == [knight, heart]
    assert list(play.cast.values_list("speaker", flat=True)) == ["Ann", "Bob"]


@pytest.mark.parametrize("value", ["999999", "9" * 30, "x", "-1", "keep", "٣"])
def test_nobody_unknown_is_cast(ann: User, play: Project, heart: Character, value: str) -> None:
    lines.add(play, [Draft("One.", "Ann"), Draft("Two.", "Bob")])
    save(ann, play, ("Ann", "", value))
    assert not play.cast.exists()
    page = save(ann, play, ("Ann", "", "999999"), ("Bob", "", str(heart.pk)))
    assert "Nothing is saved." in page and not play.cast.exists()


def test_who_can_not_speak_any_more_is_shown_but_not_offered(
    ann: User, play: Project, heart: Character, knight: Character
) -> None:
    lines.add(play, [Draft("One.", "Ann"), Draft("Two.", "Bob")])
    lines.cast(play, "Ann", heart)
    heart.remove()
    page = said(signed_in(ann).get(address(play, "cast/")))
    assert page.count(">Heart</option>") == 1 and "Can&#x27;t speak now" in page
    assert "Nothing is saved." in save(ann, play, ("Bob", "", str(heart.pk)))


def test_many_names_come_in_pages(ann: User, play: Project) -> None:
    lines.add(play, [Draft("x.", f"Name {number} <i>") for number in range(A_PAGE + 5)])
    client = signed_in(ann)
    assert said(client.get(address(play, "cast/"))).count('name="speaker"') == A_PAGE
    page = said(client.get(address(play, "cast/"), {"page": 2}))
    assert page.count('name="speaker"') == 5 and "<i>" not in page.split("nr-cast")[1]


def test_an_empty_project_says_what_to_do(ann: User, play: Project) -> None:
    assert "Import a text" in said(signed_in(ann).get(address(play, "cast/")))


def test_a_character_is_heard_before_it_is_cast(server: str, bank: Bank) -> None:
    ann, heart = somebody("ann", *RIGHTS, "studio.add_take"), bank.characters.get()
    play = Project.objects.create(name="Play", kind="dialogue", owner=ann, bank=bank)
    lines.add(play, [Draft("One.", "Ann")])
    path = address(play, f"cast/{heart.pk}/listen/")
    with browser_of(ann, server) as browser:
        page = browser.get(address(play, "cast/"))
        token = page.text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        headers = {"X-CSRFToken": token, "Referer": server}
        answer = browser.post(path, headers=headers)
        assert answer.headers["content-type"] == "audio/mpeg"
        assert_heard("Hello! This is how I sound when I read a story to you.", answer.content)
        heart.remove()
        refused = browser.post(path, headers=headers)
        assert refused.status_code >= 400 and "“Heart” is archived" in refused.json()["error"]["message"]


def test_only_who_may_make_takes_listens(ann: User, play: Project, heart: Character) -> None:
    path = address(play, f"cast/{heart.pk}/listen/")
    assert signed_in(somebody("bob", *RIGHTS, "studio.add_take")).post(path).status_code == 404
    eve = somebody("eve", *RIGHTS)
    play.members.add(eve)
    assert signed_in(eve).post(path).status_code == 403
    assert signed_in(ann).get(path).status_code == 405
