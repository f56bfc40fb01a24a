"""The pages around projects: their list, a new one, settings, people, copies and the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from banks.models import Bank, Character
from benchmarks.measure_pages import AIM_QUERIES
from providers.audit import AuditEntry
from providers.models import Provider
from studio import lines
from studio.export_options import ExportOptions, What
from studio.files import folder
from studio.lines import Draft
from studio.models import CastEntry, Export, Line, Project, Take, TakeState
from studio.pages.projects import A_PAGE
from tests.conftest import add_character
from tests.projects import PROJECTS, RIGHTS, address, said, voiced
from tests.studio import clear_files, done, queued, signed_in, somebody, stored

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_files() -> Iterator[None]:
    yield
    clear_files()


@pytest.fixture
def stories() -> Bank:
    bank = Bank.objects.create(name="Stories")
    add_character(bank, Provider.objects.create(name="Inside", kind="embedded"), "Heart")
    return bank


@pytest.fixture
def heart(stories: Bank) -> Character:
    return stories.characters.get()


@pytest.fixture
def ann() -> User:
    return somebody("ann", *RIGHTS)


@pytest.fixture
def bob() -> User:
    return somebody("bob", *RIGHTS)


@pytest.fixture
def play(ann: User, stories: Bank) -> Project:
    return Project.objects.create(name="Play", kind="dialogue", owner=ann, bank=stories, format="wav")


def new(**values: str) -> dict[str, str]:
    return {"kind": "dialogue", "name": "Play", "bank": "", "language": "en", "format": "flac", **values}


def settings(project: Project, **values: str) -> dict[str, str]:
    return {"name": project.name, "bank": str(project.bank_id or ""), "language": "", "format": "wav", **values}


# The list.


def test_the_list_says_how_far_each_project_is(ann: User, play: Project, heart: Character) -> None:
    voiced(play, ann, heart, "One.")
    lines.add(play, [Draft("Two."), Draft("Three.")])
    Project.objects.create(name="Empty", kind="phase", owner=ann)
    page = said(signed_in(ann).get(PROJECTS))
    assert "1 of 3 lines" in page and "No lines yet" in page
    assert "Stories" in page and "Dialogue" in page and "Script" in page


def test_one_sees_what_is_ones_own_and_what_is_shared(ann: User, bob: User, play: Project) -> None:
    Project.objects.create(name="Bob's diary", kind="phase", owner=bob)
    client = signed_in(ann)
    assert "diary" not in said(client.get(PROJECTS))
    Project.objects.get(name="Bob's diary").members.add(ann)
    page = said(client.get(PROJECTS))
    assert "diary" in page and "of bob" in page
    assert "diary" not in said(client.get(PROJECTS, {"whose": "mine"}))
    assert ">Play<" not in said(client.get(PROJECTS, {"whose": "shared"}))
    boss = said(signed_in(somebody("boss", superuser=True)).get(PROJECTS))
    assert "diary" in boss and ">Play<" in boss


def test_the_list_is_searched_and_has_pages(ann: User, stories: Bank) -> None:
    for number in range(A_PAGE + 1):
        Project.objects.create(name=f"Number {number}", kind="phase", owner=ann)
    Project.objects.create(name="Play", kind="dialogue", owner=ann, bank=stories)
    client = signed_in(ann)
    assert said(client.get(PROJECTS)).count("nr-project-name") == A_PAGE
    assert said(client.get(PROJECTS, {"page": 2})).count("nr-project-name") == 2
    assert said(client.get(PROJECTS, {"q": "number 7"})).count("nr-project-name") == 1
    assert said(client.get(PROJECTS, {"q": "stories"})).count("nr-project-name") == 1
    assert said(client.get(PROJECTS, {"kind": "dialogue"})).count("nr-project-name") == 1
    assert "No project fits this." in said(client.get(PROJECTS, {"q": "<script>"}))
    for odd in ({"kind": "'; --"}, {"whose": "x"}, {"page": "last"}, {"page": "-3"}, {"q": "\0"}):
        said(client.get(PROJECTS, odd))


def test_an_empty_list_says_what_to_do(ann: User) -> None:
    assert "Make the first project" in said(signed_in(ann).get(PROJECTS))
    viewer = said(signed_in(somebody("eve", "studio.view_project")).get(PROJECTS))
    assert "None is shared with you yet." in viewer and "projects/new/" not in viewer


# A new one.


def test_a_project_is_made_and_written_down(ann: User, stories: Bank) -> None:
    client = signed_in(ann)
    page = said(client.get(f"{PROJECTS}new/"))
    assert f'value="{stories.pk}" selected' in page and 'value="flac" selected' in page
    answer = client.post(f"{PROJECTS}new/", new(name=" The Play ", bank=str(stories.pk), kind="phase"))
    project = Project.objects.get()
    assert answer["Location"] == address(project)
    assert (project.name, project.kind, project.bank, project.owner) == ("The Play", "phase", stories, ann)
    entry = AuditEntry.objects.get(object_name="The Play")
    assert (entry.change, entry.user_name) == ("added", "ann")


BAD = [
    pytest.param({"name": ""}, "name", id="no-name"),
    pytest.param({"name": "a" * 101}, "name", id="long-name"),
    pytest.param({"name": "a\0b"}, "name", id="null"),
    pytest.param({"kind": "film"}, "kind", id="kind"),
    pytest.param({"kind": ""}, "kind", id="no-kind"),
    pytest.param({"bank": "999999"}, "bank", id="bank"),
    pytest.param({"bank": "9" * 40}, "bank", id="huge-bank"),
    pytest.param({"language": "the language of <b>love</b>"}, "language", id="language"),
    pytest.param({"format": "exe"}, "format", id="format"),
    pytest.param({"format": "pcm"}, "format", id="pcm"),
]


@pytest.mark.parametrize(("values", "field"), BAD)
def test_a_mistake_is_told_at_its_field(ann: User, values: dict[str, str], field: str) -> None:
    page = signed_in(ann).post(f"{PROJECTS}new/", new(**values))
    assert list(page.context["form"].errors) == [field]
    assert 'class="nr-error"' in said(page) and "<b>love" not in said(page)
    assert not Project.objects.exists()


# Who may do what.

PAGES = [
    pytest.param("get", "", "view", id="lines"),
    pytest.param("get", "cast/", "view", id="cast"),
    pytest.param("get", "exports/", "view", id="exports"),
    pytest.param("get", "settings/", "view", id="settings"),
    pytest.param("post", "settings/", "change", id="save-settings"),
    pytest.param("post", "people/", "change", id="people"),
    pytest.param("post", "cast/", "change", id="save-cast"),
    pytest.param("post", "exports/", "change", id="export"),
    pytest.param("post", "copy/", "add", id="copy"),
    pytest.param("get", "delete/", "delete", id="delete"),
    pytest.param("post", "delete/", "delete", id="delete-for-good"),
]


@pytest.mark.parametrize(("how", "page", "right"), PAGES)
def test_every_page_has_its_right_and_is_not_there_for_others(
    play: Project, bob: User, how: str, page: str, right: str
) -> None:
    def ask(client: Client) -> int:
        status: int = getattr(client, how)(address(play, page)).status_code
        return status

    without = [each for each in RIGHTS if each != f"studio.{right}_project"]
    assert ask(signed_in(bob)) == 404, "an outsider with every right"
    for person in (somebody("less", *without), somebody("none")):
        play.members.add(person)
        assert ask(signed_in(person)) == 403
    for stranger in (Client(), signed_in(User.objects.create(username="guest"))):
        assert getattr(stranger, how)(address(play, page))["Location"].startswith("/admin/login/")
    assert Project.objects.filter(pk=play.pk).exists()


def test_members_work_on_a_project_but_do_not_manage_it(play: Project, bob: User) -> None:
    play.members.add(bob)
    client = signed_in(bob)
    page = said(client.get(address(play, "settings/")))
    assert "Save people" not in page and "Delete…" not in page and "Copy without audio" in page
    client.post(address(play, "settings/"), settings(play, name="Renamed"))
    play.refresh_from_db()
    assert play.name == "Renamed"
    assert client.post(address(play, "people/"), {"owner": bob.pk}).status_code == 403
    assert client.get(address(play, "delete/")).status_code == 403
    assert client.post(address(play, "delete/")).status_code == 403
    play.refresh_from_db()
    assert play.owner.username == "ann"


def test_a_viewer_is_offered_nothing_that_is_refused(play: Project) -> None:
    viewer = somebody("viewer", "studio.view_project")
    play.members.add(viewer)
    client = signed_in(viewer)
    lines.add(play, [Draft("One.", speaker="Ann")])
    for page in ("settings/", "cast/", "exports/"):
        html = said(client.get(address(play, page)))
        assert 'class="nr-button"' not in html and '<form method="post" action="/studio/projects/' not in html, page
        assert "import/" not in html


# Settings and people.


def test_settings_are_stored_and_what_sounds_otherwise_is_stale(ann: User, play: Project, heart: Character) -> None:
    voiced(play, ann, heart, "One.")
    assert play.lines.counts() == {"done": 1}
    client = signed_in(ann)
    page = said(client.post(address(play, "settings/"), settings(play, format="flac", reuse="on"), follow=True))
    assert "are stale: generate them again" in page
    play.refresh_from_db()
    assert (play.format, play.reuse) == ("flac", True) and play.lines.counts() == {"stale": 1}
    entry = AuditEntry.objects.filter(change="changed").latest("pk")
    assert "format" in entry.message and "flac" not in entry.message


@pytest.mark.parametrize(("values", "field"), [one for one in BAD if "kind" not in str(one.values[0])])
def test_wrong_settings_change_nothing(ann: User, play: Project, values: dict[str, str], field: str) -> None:
    page = signed_in(ann).post(address(play, "settings/"), settings(play, **values))
    assert list(page.context["form"].errors) == [field]
    assert '<h1 class="nr-title">Play</h1>' in said(page), "the heading is what is stored"
    play.refresh_from_db()
    assert (play.name, play.format) == ("Play", "wav")


def test_an_archived_bank_stays_chosen_until_another_is(ann: User, play: Project, stories: Bank) -> None:
    lines.add(play, [Draft("One.")])
    stories.remove()
    client = signed_in(ann)
    client.post(address(play, "settings/"), settings(play, name="Renamed"))
    play.refresh_from_db()
    assert (play.name, play.bank) == ("Renamed", stories)
    assert f'value="{stories.pk}"' not in said(client.get(f"{PROJECTS}new/"))


def test_people_are_chosen_by_the_owner_and_written_down(ann: User, bob: User, play: Project) -> None:
    client = signed_in(ann)
    gone = somebody("gone")
    User.objects.filter(pk=gone.pk).update(is_active=False)
    page = said(client.get(address(play, "settings/")))
    assert "bob" in page and "gone" not in page
    client.post(address(play, "people/"), {"owner": ann.pk, "members": [bob.pk]})
    assert list(play.members.all()) == [bob]
    entry = AuditEntry.objects.latest("pk")
    assert (entry.change, entry.user_name) == ("changed", "ann") and "members" in entry.message
    for nobody in (gone.pk, 10**40):
        refused = client.post(address(play, "people/"), {"owner": ann.pk, "members": [nobody]})
        assert list(refused.context["people_form"].errors) == ["members"]
    assert list(play.members.all()) == [bob]


def test_whoever_hands_a_project_over_stays_a_member(ann: User, bob: User, play: Project) -> None:
    client = signed_in(ann)
    said(client.post(address(play, "people/"), {"owner": bob.pk, "members": [bob.pk]}, follow=True))
    play.refresh_from_db()
    assert play.owner == bob and list(play.members.all()) == [ann]
    assert client.post(address(play, "people/"), {"owner": ann.pk}).status_code == 403
    boss = signed_in(somebody("boss", superuser=True))
    boss.post(address(play, "people/"), {"owner": ann.pk})
    play.refresh_from_db()
    assert play.owner == ann and list(play.members.all()) == [bob]


# However much there is, the database is asked a few times only.


@pytest.mark.parametrize("page", ["", "?page=2", "{pk}/cast/", "{pk}/import/", "{pk}/exports/", "{pk}/settings/"])
def test_no_page_asks_much(
    ann: User, play: Project, heart: Character, page: str, django_assert_max_num_queries: Any
) -> None:
    bank, provider = Bank.objects.get(), Provider.objects.get()
    people = [User.objects.create(username=f"person-{number}", is_staff=True) for number in range(20)]
    play.members.set(people)
    for number in range(40):
        add_character(bank, provider, f"Character {number}")
        Project.objects.create(name=f"{number}", kind="phase", owner=people[number % 20]).members.add(ann)
        Export.objects.create(
            project=play, owner=people[number % 20], options_json=ExportOptions(What.AUDIO, "mp3").as_json()
        )
    voiced(play, ann, heart, *"abcdefgh")
    lines.add(
        play, [Draft("x", f"Name {number}", character_id=heart.pk * (number % 2) or None) for number in range(120)]
    )
    client = signed_in(ann)
    # The first look brings what is stale up to date.
    client.get(PROJECTS + page.format(pk=play.pk))
    with django_assert_max_num_queries(AIM_QUERIES):
        said(client.get(PROJECTS + page.format(pk=play.pk)))


# Copies and the end.


def test_a_copy_has_the_lines_and_the_cast_but_no_audio(ann: User, bob: User, play: Project, heart: Character) -> None:
    made = lines.add(play, [Draft("One.", "Ann", "softly", "I", heart.pk, 1.5), Draft("Two.")])
    CastEntry.objects.create(project=play, speaker="Ann", character=heart)
    Line.objects.filter(pk=made[0].pk).update(take=done(ann, heart, format="wav"))
    play.pronunciations.create(written="One", spoken="Won")
    play.members.add(bob)
    answer = signed_in(bob).post(address(play, "copy/"))
    made_copy = Project.objects.get(name="Play (copy)")
    assert answer["Location"] == address(made_copy, "settings/")
    assert made_copy.owner == bob and not made_copy.members.exists()
    values = ("text", "speaker", "instruction", "chapter", "character", "speed", "wanted", "position")
    assert list(made_copy.lines.values(*values)) == list(play.lines.values(*values))
    assert not made_copy.lines.exclude(take=None).exists() and made_copy.cast.get().speaker == "Ann"
    assert made_copy.pronunciations.get().spoken == "Won" and play.pronunciations.count() == 1


def test_deleting_says_what_goes_and_lets_it_go(ann: User, play: Project, heart: Character) -> None:
    lines.add(play, [Draft("One."), Draft("Two.")])
    discarded, kept = (done(ann, heart, format="wav", project=play, kept=kept) for kept in (False, True))
    waiting = queued(ann, heart, project=play)
    other = done(ann, heart, format="wav")
    Export.objects.create(project=play, owner=ann, options_json={"what": "audio", "format": "mp3"})
    client = signed_in(ann)
    page = said(client.get(address(play, "delete/")))
    for part in ("2 lines", "2 takes with their audio", "1 exported file", "2 that are still in progress"):
        assert part in page, part
    assert "1 take that is marked as kept stays" in page
    page = said(client.post(address(play, "delete/"), follow=True))
    assert "“Play” was deleted." in page
    assert not Project.objects.exists() and not Line.objects.exists() and not Export.objects.exists()
    assert set(Take.objects.all()) == {kept, other}
    assert not Take.objects.filter(pk__in=[waiting.pk, discarded.pk]).exists()
    entry = AuditEntry.objects.latest("pk")
    assert (entry.change, entry.object_name) == ("deleted", "Play")


@pytest.mark.django_db(transaction=True)
def test_the_files_go_too_however_many_there_are(ann: User, play: Project, heart: Character) -> None:
    for path in folder().iterdir() if folder().is_dir() else ():
        path.unlink()
    kept = done(ann, heart, format="wav", project=play, kept=True)
    first = done(ann, heart, format="wav", project=play)
    Take.objects.bulk_create(
        Take.ask(ann, f"{number}.", first.made_with, "wav", project=play, state=TakeState.FAILED)
        for number in range(450)
    )
    assert len(stored()) == 2
    signed_in(ann).post(address(play, "delete/"))
    assert list(Take.objects.all()) == [kept]
    assert stored() == {str(kept.file.name).split("/")[1]}
