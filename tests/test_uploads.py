"""Footage comes in pieces: what is refused, what goes on where it was, what becomes of it, and who may see it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from banks.models import Bank
from banks.storage import StorageFull, private_storage
from providers.audio import encode
from providers.speech import AudioFormat
from studio import housekeeping, uploads
from studio.files import FOOTAGE, UPLOADS, folder
from studio.models import MEGABYTE, Footage, OriginalSound, Project, StudioSettings, Upload
from studio.uploads import PIECE_BYTES
from tests.films import film
from tests.projects import RIGHTS, address, said
from tests.small_disk import small_disk
from tests.sounds import noise, tone
from tests.studio import browser_of, signed_in, somebody

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def empty_folders() -> Iterator[None]:
    """Other tests leave what they put there."""
    empty()
    yield
    empty()


def empty() -> None:
    for name in (FOOTAGE, UPLOADS):
        for path in folder(name).iterdir() if folder(name).is_dir() else ():
            path.unlink()


@pytest.fixture
def ann() -> User:
    return somebody("ann", *RIGHTS)


@pytest.fixture
def dub(ann: User) -> Project:
    return Project.objects.create(name="A Film", kind="dub", owner=ann, format="wav")


@pytest.fixture
def client(ann: User) -> Client:
    return signed_in(ann)


def begun(client: Client, project: Project, size: int, name: str = "film.mp4") -> Any:
    return client.post(address(project, "footage/uploads/"), {"name": name, "size": size})


def sent(client: Client, place: str, offset: int | str, piece: bytes) -> Any:
    return client.put(f"{place}?offset={offset}", piece, content_type="application/octet-stream")


def uploaded(client: Client, project: Project, content: bytes, name: str = "film.mp4", piece: int = 30_000) -> Any:
    place = begun(client, project, len(content), name).json()["address"]
    for start in range(0, len(content), piece):
        assert sent(client, place, start, content[start : start + piece]).status_code == 200
    return client.post(f"{place}end/")


def stored(name: str) -> list[str]:
    return [path.name for path in folder(name).iterdir()] if folder(name).is_dir() else []


# Pieces.


def test_a_film_comes_in_pieces_and_becomes_the_footage(client: Client, dub: Project, tmp_path: Path) -> None:
    content = film(tmp_path, 3).read_bytes()
    answer = uploaded(client, dub, content, "C:\\films\\Ein Film.mp4")
    assert (answer.status_code, answer.json()) == (200, {"next": address(dub, "footage/")})
    footage = Footage.objects.get()
    path = Path(private_storage().path(footage.file.name or ""))
    assert path.read_bytes() == content and path.stat().st_mode & 0o777 == 0o600
    assert (footage.name, footage.size) == ("Ein Film.mp4", len(content))
    assert (footage.frame_rate, footage.has_sound) == (10, True)
    assert footage.duration == pytest.approx(3, abs=0.05) and footage.content_type == "video/mp4"
    assert not Upload.objects.exists() and stored(UPLOADS) == []
    page = said(client.get(address(dub, "footage/")))
    assert "Ein Film.mp4" in page and "0:00:03" in page and "<video" in page and "“Ein Film.mp4” is there." in page


def test_what_was_cut_goes_on_where_it_was(client: Client, dub: Project) -> None:
    first = begun(client, dub, 1000).json()
    assert (first["received"], first["size"], first["piece"]) == (0, 1000, PIECE_BYTES)
    assert sent(client, first["address"], 0, bytes(300)).json()["received"] == 300
    assert client.get(first["address"]).json()["received"] == 300
    again = begun(client, dub, 1000).json()
    assert (again["address"], again["received"]) == (first["address"], 300)
    other = begun(client, dub, 1001).json()
    assert other["received"] == 0 and client.get(first["address"]).status_code == 404
    assert len(stored(UPLOADS)) == Upload.objects.count() == 1, "another file takes its place"


def test_what_is_not_the_next_piece_is_refused(client: Client, dub: Project) -> None:
    place = begun(client, dub, 1000).json()["address"]
    sent(client, place, 0, bytes(300))
    for offset in (0, 299, 301, 1000, 10**17):
        refused = sent(client, place, offset, bytes(100))
        assert refused.status_code == 409, offset
        assert refused.json()["received"] == 300 and "300 of 1000 bytes" in refused.json()["error"]["message"]
    for odd in ("", "x", "-1", "1.5", "9" * 30, "٣"):
        assert sent(client, place, odd, bytes(100)).status_code == 400, odd
    assert sent(client, place, 300, b"").status_code == 400
    refused = sent(client, place, 300, bytes(701))
    assert refused.status_code == 400 and "has more" in refused.json()["error"]["message"]
    assert client.get(place).json()["received"] == 300
    assert client.post(f"{place}end/").status_code == 409, "it is not whole"
    assert sent(client, place, 300, bytes(700)).json()["received"] == 1000


def test_a_piece_that_is_too_large_is_refused(client: Client, dub: Project) -> None:
    place = begun(client, dub, 3 * PIECE_BYTES).json()["address"]
    refused = sent(client, place, 0, bytes(PIECE_BYTES + 1))
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "piece_too_large")
    assert client.get(place).json()["received"] == 0


@pytest.mark.parametrize("size", ["", "0", "-1", "x", "1.5", "9" * 30])
def test_a_size_has_to_be_one(client: Client, dub: Project, size: str) -> None:
    refused = client.post(address(dub, "footage/uploads/"), {"name": "a.mp4", "size": size})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "size")
    assert not Upload.objects.exists()


@pytest.mark.parametrize("name", ["", "/", "\0"])
def test_a_file_has_to_have_a_name(client: Client, dub: Project, name: str) -> None:
    refused = client.post(address(dub, "footage/uploads/"), {"name": name, "size": "1000"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "name")
    assert not Upload.objects.exists()


def test_it_is_given_up(client: Client, dub: Project) -> None:
    place = begun(client, dub, 1000).json()["address"]
    sent(client, place, 0, bytes(300))
    assert client.delete(place).status_code == 204
    assert stored(UPLOADS) == [] and client.get(place).status_code == 404


# Room.


def test_the_video_quota_holds(client: Client, ann: User, dub: Project) -> None:
    StudioSettings.load()
    StudioSettings.objects.update(video_quota_mb=10)
    refused = begun(client, dub, 11 * MEGABYTE)
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "file_too_large")
    assert "11 MB" in refused.json()["error"]["message"] and "10 MB" in refused.json()["error"]["message"]
    assert begun(client, dub, 6 * MEGABYTE).status_code == 201
    other = Project.objects.create(name="Other", kind="dub", owner=ann)
    refused = begun(client, other, 6 * MEGABYTE)
    assert (refused.status_code, refused.json()["error"]["code"]) == (507, "quota_spent"), "what comes counts"
    StudioSettings.objects.update(video_quota_mb=0)
    assert begun(client, other, 6 * MEGABYTE).status_code == 201


def test_what_is_replaced_does_not_count(client: Client, ann: User, dub: Project) -> None:
    StudioSettings.load()
    StudioSettings.objects.update(video_quota_mb=10)
    Footage.objects.create(project=dub, file=f"{FOOTAGE}/x.mp4", name="x.mp4", size=8 * MEGABYTE, duration=1)
    assert begun(client, dub, 8 * MEGABYTE).status_code == 201
    other = Project.objects.create(name="Other", kind="dub", owner=ann)
    assert begun(client, other, MEGABYTE).status_code == 507


def test_a_disk_without_room_is_told(ann: User, dub: Project, tmp_path: Path, settings: Any) -> None:
    with small_disk(tmp_path / "disk", 80) as disk:
        settings.DATA_DIR = disk.folder
        with pytest.raises(StorageFull):
            uploads.begin(dub, ann, "film.mp4", 40 * MEGABYTE)
        assert stored(UPLOADS) == [] and not Upload.objects.exists()
        made = uploads.begin(dub, ann, "film.mp4", 4 * MEGABYTE)
        disk.fill()
        with pytest.raises(StorageFull):
            uploads.receive(made, 0, BytesIO(noise(4 * MEGABYTE)))
        made.refresh_from_db()
        assert made.received == 0
        disk.make_room()
        assert uploads.receive(made, 0, BytesIO(noise(4 * MEGABYTE))) == 4 * MEGABYTE


# What it is.


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"ffconcat version 1.0\nfile '/etc/passwd'\n", "no recording", id="ffconcat"),
        pytest.param(b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", "no recording", id="m3u8"),
        pytest.param(b"PK\3\4" + bytes(400), "no recording", id="zip"),
        pytest.param(b"\0\0\0\x18ftypisom" + bytes(400), "damaged or cut off", id="broken"),
    ],
)
def test_what_is_no_recording_is_refused_and_gone(client: Client, dub: Project, content: bytes, words: str) -> None:
    refused = uploaded(client, dub, content)
    assert refused.status_code == 400 and words in refused.json()["error"]["message"]
    assert not Footage.objects.exists() and not Upload.objects.exists()
    assert stored(UPLOADS) == stored(FOOTAGE) == []


def test_a_film_that_is_cut_off_is_refused(client: Client, dub: Project, tmp_path: Path) -> None:
    content = film(tmp_path, 20, container="mkv").read_bytes()
    refused = uploaded(client, dub, content[: len(content) // 2])
    assert refused.status_code == 400 and "cut off" in refused.json()["error"]["message"]


def test_a_film_without_sound_is_taken_and_told_of(client: Client, dub: Project, tmp_path: Path) -> None:
    assert uploaded(client, dub, film(tmp_path, 2, sound=False).read_bytes()).status_code == 200
    assert not Footage.objects.get().has_sound
    assert "It has no sound: the dub will be all that is heard." in said(client.get(address(dub, "footage/")))


def test_sound_alone_is_taken_and_told_of(client: Client, dub: Project) -> None:
    content = encode(tone(48_000, 3), 48_000, AudioFormat.MP3)
    assert uploaded(client, dub, content, "song.mp3").status_code == 200
    footage = Footage.objects.get()
    assert (footage.has_picture, footage.has_sound, footage.content_type) == (False, True, "audio/mpeg")
    page = said(client.get(address(dub, "footage/")))
    assert "It has no picture" in page and "<audio" in page and "<video" not in page


def test_another_film_takes_its_place_and_how_it_is_used_stays(client: Client, dub: Project, tmp_path: Path) -> None:
    uploaded(client, dub, film(tmp_path, 2, name="one").read_bytes(), "one.mp4")
    values = {"sound": "off", "duck_db": "-20", "stretch_most": "1.5"}
    assert client.post(address(dub, "footage/"), values).status_code == 302
    broken = uploaded(client, dub, b"no film at all", "two.mp4")
    assert broken.status_code == 400 and Footage.objects.get().name == "one.mp4", "nothing is lost"
    uploaded(client, dub, film(tmp_path, 3, name="two", container="webm").read_bytes(), "two.webm")
    footage = Footage.objects.get()
    assert (footage.name, footage.content_type) == ("two.webm", "video/webm")
    assert (footage.sound, footage.duck_db, footage.stretch_most) == (OriginalSound.OFF, -20, 1.5)


@pytest.mark.django_db(transaction=True)
def test_what_is_replaced_or_removed_leaves_the_disk(dub: Project, ann: User, tmp_path: Path) -> None:
    client = signed_in(ann)
    uploaded(client, dub, film(tmp_path, 1, name="one").read_bytes())
    uploaded(client, dub, film(tmp_path, 2, name="two").read_bytes())
    assert len(stored(FOOTAGE)) == 1
    assert client.post(address(dub, "footage/remove/")).status_code == 302
    assert stored(FOOTAGE) == [] and not Footage.objects.exists()
    uploaded(client, dub, film(tmp_path, 1, name="three").read_bytes())
    client.post(address(dub, "delete/"))
    assert stored(FOOTAGE) == [] and not Project.objects.exists()


BAD = [
    pytest.param({"sound": "loud"}, "sound", id="sound"),
    pytest.param({"duck_db": "3"}, "duck_db", id="louder"),
    pytest.param({"duck_db": "-90"}, "duck_db", id="too-quiet"),
    pytest.param({"duck_db": "nan"}, "duck_db", id="nan"),
    pytest.param({"stretch_most": "0.5"}, "stretch_most", id="slower"),
    pytest.param({"stretch_most": "9"}, "stretch_most", id="too-fast"),
    pytest.param({"stretch_most": ""}, "stretch_most", id="nothing"),
]


@pytest.mark.parametrize(("values", "field"), BAD)
def test_a_mistake_is_told_at_its_field(client: Client, dub: Project, values: dict[str, str], field: str) -> None:
    Footage.objects.create(project=dub, file=f"{FOOTAGE}/x.mp4", name="x.mp4", size=8, duration=1)
    page = client.post(address(dub, "footage/"), {"sound": "keep", "duck_db": "-12", "stretch_most": "1.2", **values})
    assert list(page.context["form"].errors) == [field]
    said(page)
    assert Footage.objects.get().sound == OriginalSound.DUCK


# Who, and where.


def test_footage_is_for_the_projects_people(client: Client, ann: User, dub: Project) -> None:
    Footage.objects.create(project=dub, file=f"{FOOTAGE}/x.mp4", name="x.mp4", size=8, duration=1)
    place = begun(client, dub, 1000).json()["address"]
    bob, eve = signed_in(somebody("bob", *RIGHTS)), somebody("eve", "studio.view_project")
    for path in ("footage/", "footage/file"):
        assert bob.get(address(dub, path)).status_code == 404, path
    for path in ("footage/", "footage/remove/", "footage/uploads/"):
        assert bob.post(address(dub, path)).status_code == 404, path
    assert sent(bob, place, 0, bytes(10)).status_code == bob.delete(place).status_code == 404
    dub.members.add(eve)
    seen = signed_in(eve)
    assert "Upload" not in said(seen.get(address(dub, "footage/")))
    assert sent(seen, place, 0, bytes(10)).status_code == seen.post(address(dub, "footage/remove/")).status_code == 403
    cy = somebody("cy", *RIGHTS)
    dub.members.add(cy)
    assert signed_in(cy).get(place).status_code == 404, "another member's upload"
    assert begun(signed_in(cy), dub, 1000).json()["address"] != place
    assert Client().get(address(dub, "footage/")).status_code == 302
    assert Upload.objects.filter(owner=ann, received=0).exists() and Footage.objects.exists()


def test_other_kinds_have_no_footage(client: Client, ann: User) -> None:
    play = Project.objects.create(name="Play", kind="dialogue", owner=ann)
    assert client.get(address(play, "footage/")).status_code == 404
    assert begun(client, play, 1000).status_code == 404
    assert "Footage" not in said(client.get(address(play, "settings/")))


def test_pieces_need_the_page_they_come_from(ann: User, dub: Project) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ann)
    assert begun(strict, dub, 1000).status_code == 403
    made = uploads.begin(dub, ann, "film.mp4", 1000)
    place = address(dub, f"footage/uploads/{made.pk}/")
    assert sent(strict, place, 0, bytes(10)).status_code == strict.delete(place).status_code == 403


def test_what_nobody_went_on_with_is_given_up(client: Client, dub: Project, ann: User) -> None:
    uploads.begin(dub, ann, "film.mp4", 1000)
    housekeeping.sweep()
    assert len(stored(UPLOADS)) == 1
    Upload.objects.update(changed_at=timezone.now() - timedelta(days=3))
    housekeeping.sweep()
    assert stored(UPLOADS) == [] and not Upload.objects.exists()


def test_files_that_nothing_names_go_and_the_others_stay(dub: Project, ann: User, old_file: Any) -> None:
    coming = uploads.begin(dub, ann, "film.mp4", 1000)
    for name in (UPLOADS, FOOTAGE):
        folder(name).mkdir(exist_ok=True)
        old_file(folder(name) / "left-over")
    Footage.objects.create(project=dub, file=f"{FOOTAGE}/used.mp4", name="x.mp4", size=8, duration=1)
    old_file(folder(FOOTAGE) / "used.mp4")
    old_file(coming.path)
    housekeeping.sweep()
    assert (stored(UPLOADS), stored(FOOTAGE)) == ([coming.pk], ["used.mp4"])


@pytest.fixture
def old_file() -> Any:
    def made(path: Path) -> None:
        path.write_bytes(b"old")
        os.utime(path, (1, 1))

    return made


# On the running server.


def test_whole_pieces_pass_the_server_and_the_film_is_seen_in_parts(server: str, bank: Bank, tmp_path: Path) -> None:
    ann = somebody("ann", *RIGHTS)
    dub = Project.objects.create(name="A Film", kind="dub", owner=ann, bank=bank)
    content = noise(PIECE_BYTES) + noise(1000, 2)
    with browser_of(ann, server) as browser:
        page = browser.get(address(dub, "footage/"))
        token = page.text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        headers = {"X-CSRFToken": token, "Referer": server}
        form = {"name": "film.mp4", "size": len(content)}
        begun = browser.post(address(dub, "footage/uploads/"), data=form, headers=headers)
        place = begun.json()["address"]
        first = browser.put(f"{place}?offset=0", content=content[:PIECE_BYTES], headers=headers)
        assert (first.status_code, first.json()["received"]) == (200, PIECE_BYTES)
        last = browser.put(f"{place}?offset={PIECE_BYTES}", content=content[PIECE_BYTES:], headers=headers)
        assert last.json()["received"] == len(content)
        made = Upload.objects.get()
        assert made.path.read_bytes() == content
        content = film(tmp_path, 2).read_bytes()
        made.path.write_bytes(content)
        Upload.objects.update(size=len(content), received=len(content))
        assert browser.post(f"{place}end/", headers=headers).status_code == 200
        seen = browser.get(address(dub, "footage/file"), headers={"Range": "bytes=10-109"})
        assert (seen.status_code, seen.content) == (206, content[10:110])
        assert seen.headers["content-type"] == "video/mp4" and seen.headers["x-content-type-options"] == "nosniff"
        assert browser.get(address(dub, "footage/file")).content == content
        Path(private_storage().path(Footage.objects.get().file.name or "")).unlink()
        assert browser.get(address(dub, "footage/file")).status_code == 404
