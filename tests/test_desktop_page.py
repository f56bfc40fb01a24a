"""The page and the command of the import from the desktop application."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.utils import timezone

from banks.storage import private_storage
from neiroha_site.roles import Role
from providers.models import Provider
from studio import housekeeping
from studio.desktop import waiting
from studio.desktop.imports import step
from studio.desktop.job import Options
from studio.models import Line, LineState, Project, Take
from studio.pages import desktop
from tests.desktop import FOX, audio_folder, database, zipped
from tests.hearing import assert_heard
from tests.people import client_of, member
from tests.projects import PROJECTS, said
from tests.studio import browser_of, clear_files, file_of, stored

pytestmark = pytest.mark.django_db
PAGE = "/studio/desktop/"


@pytest.fixture(autouse=True)
def no_files() -> Iterator[None]:
    """Nor those that other tests have left."""
    empty()
    yield
    empty()


def empty() -> None:
    clear_files()
    for name in held():
        private_storage().delete(f"{waiting.FOLDER}/{name}")


def held() -> list[str]:
    """The files that wait."""
    storage = private_storage()
    return sorted(storage.listdir(waiting.FOLDER)[1]) if storage.exists(waiting.FOLDER) else []


@pytest.fixture
def admin() -> User:
    return member(Role.ADMINISTRATOR)


@pytest.fixture
def client(admin: User) -> Client:
    return client_of(admin)


def upload(path: Path) -> SimpleUploadedFile:
    return SimpleUploadedFile(path.name, path.read_bytes())


def send(client: Client, tmp_path: Path, *, audio: bool = True, **values: Any) -> Any:
    files: dict[str, Any] = {"database": upload(database(tmp_path))}
    if audio:
        files["audio"] = upload(zipped(audio_folder(tmp_path)))
    return client.post(PAGE, {"begin": "", **files, **values}, follow=True)


class TestPage:
    def test_from_the_files_to_the_lines(self, client: Client, admin: User, tmp_path: Path) -> None:
        said(client.get(PAGE))
        plan = said(send(client, tmp_path))
        assert "What would come" in plan and "The visit" in plan and "5 new lines" in plan
        assert "gone.wav" in plan and "azure-key" not in plan
        assert not Provider.objects.exists() and stored() == set()
        done = said(client.post(PAGE, {"import": "", "owner": admin.pk}))
        assert "This is here now" in done
        assert Project.objects.count() == 5 and {project.owner for project in Project.objects.all()} == {admin}
        assert Line.objects.in_state([LineState.DONE]).count() == 4
        assert_heard(FOX, file_of(Take.objects.get(text=FOX)))
        assert {one.api_key for one in Provider.objects.all()} == {""}
        assert held() == []
        assert "Nothing new would come" in said(send(client, tmp_path))
        assert 'name="import"' not in said(client.get(PAGE))

    def test_keys_and_another_owner(self, client: Client, admin: User, tmp_path: Path) -> None:
        producer = member(Role.PRODUCER)
        send(client, tmp_path, audio=False)
        look = said(client.post(PAGE, {"look": "", "owner": producer.pk, "with_keys": "on"}))
        assert "Its key does not come along" not in look and not Provider.objects.exists()
        said(client.post(PAGE, {"import": "", "owner": producer.pk, "with_keys": "on"}))
        assert Provider.objects.get(name="Azure").api_key == "azure-key"
        assert {project.owner for project in Project.objects.all()} == {producer}

    def test_step_by_step(self, client: Client, admin: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A request ends after its time, and shows how far it is."""
        monkeypatch.setattr(desktop, "STEP_SECONDS", -1.0)
        send(client, tmp_path)
        asked = {"import": "", "owner": admin.pk}
        page = said(client.post(PAGE, asked))
        assert "1 of 9 recordings are ready." in page
        assert not Project.objects.exists()
        monkeypatch.setattr(desktop, "STEP_SECONDS", 600.0)
        assert "This is here now" in said(client.post(PAGE, asked))
        assert Take.objects.count() == 5 == len(stored())
        assert held() == []

    def test_what_is_ready_goes_when_it_is_given_up(
        self, client: Client, admin: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send(client, tmp_path)
        found = waiting.waiting(client.session)
        assert found is not None
        options = Options(admin, admin)
        ready = found.ready()
        with found.database() as path, found.sounds() as sounds:
            assert step(path, sounds, options, ready, 600.0) == (9, 9)
        found.keep_ready(ready)
        assert len(stored()) == 5 and [name.rpartition(".")[2] for name in held()] == ["db", "json", "zip"]
        assert found.ready() == ready
        client.post(PAGE, {"forget": ""})
        assert held() == [] and stored() == set()

    @pytest.mark.parametrize("role", [Role.PRODUCER, Role.VIEWER, None])
    def test_administrators_alone(self, role: Role | None, tmp_path: Path) -> None:
        outsider = client_of(member(role)) if role else Client()
        refused = 403 if role else 302
        assert outsider.get(PAGE).status_code == refused
        for values in ({"begin": "", "database": upload(database(tmp_path))}, {"import": ""}, {"forget": ""}):
            assert outsider.post(PAGE, values).status_code == refused
        assert held() == [] and not Provider.objects.exists()
        if role:
            assert PAGE not in said(outsider.get(PROJECTS))

    def test_the_list_of_projects_leads_here(self, client: Client) -> None:
        assert PAGE in said(client.get(PROJECTS))

    def test_nobody_elses_files(self, client: Client, tmp_path: Path) -> None:
        send(client, tmp_path)
        other = client_of(member(Role.ADMINISTRATOR, "other"))
        assert "What would come" not in said(other.get(PAGE))
        answer = other.post(PAGE, {"import": "", "owner": "1"}, follow=True)
        assert "The files are not here any more: choose them again." in said(answer)
        assert not Provider.objects.exists()

    def test_a_form_without_files(self, client: Client) -> None:
        assert "This field is required." in said(client.post(PAGE, {"begin": ""}))

    def test_something_else(self, client: Client, tmp_path: Path) -> None:
        page = said(client.post(PAGE, {"begin": "", "database": SimpleUploadedFile("a.db", b"text")}, follow=True))
        assert "This is not an SQLite database." in page and 'name="import"' not in page
        said(client.post(PAGE, {"forget": ""}, follow=True))
        values = {"begin": "", "database": upload(database(tmp_path)), "audio": SimpleUploadedFile("a.zip", b"text")}
        assert "The audio is no zip file, or a damaged one." in said(client.post(PAGE, values))
        assert held() == []

    def test_too_large(self, client: Client, tmp_path: Path) -> None:
        large = BytesIO(b"SQLite format 3\0")
        large.name = "large.db"
        large.seek(200 * 1024**2)
        large.write(b"\0")
        large.seek(0)
        assert "The file is larger than 200 MB." in said(client.post(PAGE, {"begin": "", "database": large}))

    @pytest.mark.parametrize("owner", ["", "999999", "x"])
    def test_an_owner_who_is_nobody(self, client: Client, tmp_path: Path, owner: str) -> None:
        send(client, tmp_path, audio=False)
        page = said(client.post(PAGE, {"import": "", "owner": owner}))
        assert "nr-error" in page and not Provider.objects.exists()

    def test_names_are_no_markup(self, client: Client, tmp_path: Path) -> None:
        path = database(tmp_path, 27, "UPDATE dialog_tts_projects SET name = '<script>alert(1)</script>'")
        page = said(client.post(PAGE, {"begin": "", "database": upload(path)}, follow=True))
        assert "<script>alert" not in page and "&lt;script&gt;alert" in page

    def test_what_waits_too_long_is_cleared_away(self, client: Client, tmp_path: Path) -> None:
        send(client, tmp_path)
        housekeeping.sweep()
        assert len(held()) == 2
        long_ago = (timezone.now() - waiting.KEPT - timedelta(minutes=1)).timestamp()
        for name in held():
            os.utime(private_storage().path(f"{waiting.FOLDER}/{name}"), (long_ago, long_ago))
        housekeeping.sweep()
        assert held() == []
        assert "Database" in said(client.get(PAGE))


def test_a_body_larger_than_other_pages_take_reaches_the_page(server: str) -> None:
    """On the server as it runs."""
    with browser_of(member(Role.ADMINISTRATOR), server) as browser:
        token = browser.get(PAGE).text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        sent = {"csrfmiddlewaretoken": token, "begin": ""}
        files = {"database": ("neiroha.db", bytes(40 * 1024**2))}
        answer = browser.post(PAGE, data=sent, files=files, headers={"Referer": server}, follow_redirects=True)
    assert answer.status_code == 200 and "This is not an SQLite database." in answer.text


def run(*arguments: object) -> str:
    out = StringIO()
    call_command("import_desktop", *map(str, arguments), stdout=out)
    return out.getvalue()


class TestCommand:
    def test_a_dry_run_says_what_the_run_does(self, admin: User, tmp_path: Path) -> None:
        path, folder = database(tmp_path), audio_folder(tmp_path)
        announced = run(path, "--audio-folder", folder, "--dry-run")
        assert announced.endswith("Nothing was changed: this was a dry run.\n")
        assert not Provider.objects.exists() and stored() == set()
        happened = run(path, "--audio-folder", folder)
        assert happened.splitlines()[:-1] == announced.splitlines()[:-1]
        assert "New: The visit (Dialogue)" in happened and "Missing: C:\\Users" in happened
        assert {project.owner for project in Project.objects.all()} == {admin}
        assert Line.objects.in_state([LineState.DONE]).count() == 4
        assert "0 new lines, 0 recordings" in run(path, "--audio-folder", folder)

    def test_the_folder_beside_the_database(self, admin: User, tmp_path: Path) -> None:
        place = tmp_path / "data"
        place.mkdir()
        path = database(place)
        assert "No audio: name its folder with --audio-folder." in run(path, "--dry-run")
        audio_folder(tmp_path)
        assert f"Audio from {tmp_path / 'voice_asset'}." in run(path)
        assert Take.objects.count() == 5

    def test_a_zip_keys_an_owner_and_once_more(self, admin: User, tmp_path: Path) -> None:
        producer = member(Role.PRODUCER)
        path, packed = database(tmp_path), zipped(audio_folder(tmp_path))
        run(path, "--audio-folder", packed, "--with-keys", "--owner", producer.username)
        assert Provider.objects.get(name="Azure").api_key == "azure-key"
        assert Take.objects.filter(owner=producer).count() == 5
        Project.objects.get(name="Film").delete()
        assert "Deleted here: Film" in run(path)
        assert "New: Film" in run(path, "--again")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--owner", "nobody"], "There is nobody named 'nobody' who may sign in to these pages."),
            (["--audio-folder", "/nowhere"], "The audio folder /nowhere can't be read: No such file or directory."),
            (["--audio-folder", __file__], "The audio is no zip file, or a damaged one. Nothing was imported."),
        ],
    )
    def test_what_does_not_fit(self, admin: User, tmp_path: Path, arguments: list[str], message: str) -> None:
        with pytest.raises(CommandError) as caught:
            run(database(tmp_path), *arguments)
        assert str(caught.value) == message
        assert not Provider.objects.exists()

    def test_nobody_to_own_it(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="There is no administrator yet"):
            run(database(tmp_path))

    def test_nothing_is_left_of_what_fails(self, admin: User, tmp_path: Path) -> None:
        path = database(tmp_path)
        path.write_bytes(path.read_bytes()[:3000])
        with pytest.raises(CommandError, match="Nothing was imported"):
            run(path)
