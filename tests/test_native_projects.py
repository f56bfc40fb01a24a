"""Projects, their lines, exports and takes over the native API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile

from api.models import Scope
from banks.models import Bank, Character
from providers.audit import AuditEntry
from providers.models import Provider
from studio.export_options import ExportOptions, What
from studio.models import Export, Line, Project, Take, TakeState
from tests.conftest import add_character
from tests.native_api import Caller, code, keyed, make_user, names, param, session, without_limits
from tests.projects import RIGHTS, voiced
from tests.studio import clear_files, done, file_of, queued

VIEW = ("studio.view_project",)


@pytest.fixture(autouse=True)
def no_files() -> Iterator[None]:
    yield
    clear_files()


@pytest.fixture(autouse=True)
def unlimited(db: None) -> None:
    without_limits()


@pytest.fixture
def producer() -> Caller:
    return keyed(*RIGHTS, "studio.view_take")


@pytest.fixture
def ann(producer: Caller) -> User:
    assert producer.user
    return producer.user


@pytest.fixture
def heart() -> Character:
    bank = Bank.objects.create(name="Stories")
    return add_character(bank, Provider.objects.create(name="Here", kind="embedded"), "Heart", aliases=["Anna"])


@pytest.fixture
def play(ann: User, heart: Character) -> Project:
    bank = Bank.objects.get()
    return Project.objects.create(name="Play", kind="dialogue", owner=ann, bank=bank, format="wav")


def with_lines(producer: Caller, project: Project, *texts: str, **values: Any) -> list[dict[str, Any]]:
    body = {"project": project.pk, "lines": [{"text": one, **values} for one in texts]}
    found: list[dict[str, Any]] = producer.post("lines/", body)["lines"]
    return found


def texts(project: Project) -> list[str]:
    return list(project.lines.values_list("text", flat=True))


# Projects.


def test_the_whole_life_of_a_project(producer: Caller, ann: User, heart: Character) -> None:
    bank = Bank.objects.get()
    made = producer.post("projects/", {"name": " Play ", "kind": "dialogue", "bank": bank.pk})
    assert (made["name"], made["owner"], made["members"], made["format"]) == ("Play", ann.pk, [], "flac")
    assert made["progress"] == {"done": 0, "total": 0}
    path = f"projects/{made['id']}/"
    changed = producer.patch(path, {"name": "The play", "reuse": True, "language": "en"})
    assert (changed["name"], changed["reuse"], changed["bank"]) == ("The play", True, bank.pk)
    assert param(producer.patch(path, {"kind": "phase"}, 400)) == "kind"
    assert names(producer.get("projects/?search=the&kind=dialogue")) == ["The play"]
    copy = producer.post(f"{path}duplicate/")
    assert copy["name"] == "The play (copy)"
    producer.delete(path)
    producer.get(path, 404)
    trail = list(AuditEntry.objects.order_by("pk").values_list("change", "object_name"))
    assert trail == [
        ("added", "Play"),
        ("changed", "The play"),
        ("added", "The play (copy)"),
        ("deleted", "The play"),
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "dialogue"}, "name"),
        ({"name": "x"}, "kind"),
        ({"name": "x", "kind": "film"}, "kind"),
        ({"name": "", "kind": "phase"}, "name"),
        ({"name": "x" * 101, "kind": "phase"}, "name"),
        ({"name": 5, "kind": "phase"}, "name"),
        ({"name": "x", "kind": "phase", "bank": 999}, "bank"),
        ({"name": "x", "kind": "phase", "bank": 2**63}, "bank"),
        ({"name": "x", "kind": "phase", "format": "pcm"}, "format"),
        ({"name": "x", "kind": "phase", "owner": 1}, "owner"),
        ({"name": "x", "kind": "phase", "members": [999]}, "members"),
        ({"name": "x", "kind": "phase", "members": "all"}, "members"),
        ({"name": "x", "kind": "phase", "changed_at": "2026-01-01"}, "changed_at"),
        ({"name": "x", "kind": "phase", "teapot": 1}, "teapot"),
    ],
    ids=range(14),
)
def test_a_mistake_names_its_field(producer: Caller, body: dict[str, Any], field: str) -> None:
    assert param(producer.post("projects/", body, 400)) == field
    assert not Project.objects.exists()


def test_only_its_people_see_a_project(producer: Caller, play: Project, heart: Character) -> None:
    outsider, boss = keyed(*RIGHTS), session(superuser=True)
    (line,) = with_lines(producer, play, "One.")
    export = Export.objects.create(project=play, owner=play.owner, options_json=options())
    rows = (f"projects/{play.pk}/", f"lines/{line['id']}/", f"exports/{export.pk}/")
    for path in rows:
        assert code(outsider.get(path, 404)) == "not_found"
        boss.get(path)
        producer.get(path)
    for resource in ("projects", "lines", "exports"):
        assert outsider.get(f"{resource}/")["count"] == 0 and producer.get(f"{resource}/")["count"] == 1
    assert param(outsider.post("lines/", {"project": play.pk, "lines": [{"text": "x"}]}, 400)) == "project"
    assert param(outsider.post("exports/", {"project": play.pk, "what": "files"}, 400)) == "project"
    outsider.post(f"projects/{play.pk}/generate/", {"want": "all"}, 404)
    outsider.post(f"projects/{play.pk}/import/", {"text": "x"}, 404)
    outsider.post(f"exports/{export.pk}/cancel/", None, 404)
    for path in rows:
        outsider.delete(path, 404)
    assert outsider.user
    producer.patch(f"projects/{play.pk}/", {"members": [outsider.user.pk]})
    for path in rows:
        outsider.get(path)


def test_members_work_but_do_not_manage(producer: Caller, play: Project, ann: User) -> None:
    member, other = keyed(*RIGHTS), make_user()
    assert member.user
    producer.patch(f"projects/{play.pk}/", {"members": [member.user.pk]})
    path = f"projects/{play.pk}/"
    assert member.patch(path, {"name": "Ours"})["name"] == "Ours"
    member.patch(path, {"members": [other.pk]}, 403)
    member.patch(path, {"owner": member.user.pk}, 403)
    member.delete(path, 403)
    handed = producer.patch(path, {"owner": member.user.pk})
    assert (handed["owner"], handed["members"]) == (member.user.pk, [ann.pk])
    producer.delete(path, 403)
    member.delete(path)


def test_rights_and_scopes(play: Project) -> None:
    (line,) = Line.objects.bulk_create([Line(project=play, position=1, text="One.")])
    looks = [f"projects/{play.pk}/", f"projects/{play.pk}/counts/", f"lines/{line.pk}/", "exports/", "lines/"]
    changes: list[tuple[str, str, Any]] = [
        ("PATCH", f"projects/{play.pk}/", {"name": "x"}),
        ("POST", f"projects/{play.pk}/generate/", {}),
        ("POST", f"projects/{play.pk}/cancel/", {}),
        ("POST", f"projects/{play.pk}/import/", {"text": "x"}),
        ("POST", "lines/", {"project": play.pk, "lines": [{"text": "x"}]}),
        ("POST", "lines/move/", {"project": play.pk, "lines": [line.pk]}),
        ("PATCH", f"lines/{line.pk}/", {"text": "x"}),
        ("DELETE", f"lines/{line.pk}/", None),
        ("POST", "exports/", {"project": play.pk, "what": "files"}),
    ]
    viewer, none, reader = keyed(*VIEW), keyed("studio.view_take"), keyed(*RIGHTS, scope=Scope.READ)
    limited = keyed(*RIGHTS, banks=[Bank.objects.get()])
    speech = keyed(superuser=True, scope=Scope.SPEECH)
    for caller in (viewer, none, reader, limited, speech):
        assert caller.user
        play.members.add(caller.user)
    for path in looks:
        viewer.get(path)
        reader.get(path)
        for caller in (none, limited, speech):
            caller.get(path, 403)
    for method, path, body in changes:
        for caller in (viewer, none, reader, limited, speech):
            assert caller.ask(method, path, body).status_code == 403, (method, path)
    assert texts(play) == ["One."]


def test_the_list_takes_few_queries(producer: Caller, ann: User, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        project = Project.objects.create(name=f"{number}", kind="phase", owner=ann)
        Line.objects.bulk_create([Line(project=project, position=at, text="x") for at in range(3)])
    with django_assert_max_num_queries(10):
        found = producer.get("projects/?limit=200")
    assert {row["progress"]["total"] for row in found["results"]} == {3}
    with django_assert_max_num_queries(10):
        assert producer.get("lines/?limit=200")["count"] == 90


# Lines.


def test_lines_are_made_changed_moved_and_removed(producer: Caller, play: Project, heart: Character) -> None:
    first, last = with_lines(producer, play, "One.", "Four.", character=heart.pk, speaker=" Ann ")
    assert (first["state"], first["speaker"], first["character"], first["audio"]) == ("missing", "Ann", heart.pk, None)
    body = {"project": play.pk, "lines": [{"text": "Two."}, {"text": "Three.", "speed": 1.5}], "after": first["id"]}
    two, three = producer.post("lines/", body)["lines"]
    producer.post("lines/", {"project": play.pk, "lines": [{"text": "Zero.", "chapter": "I"}], "first": True})
    assert texts(play) == ["Zero.", "One.", "Two.", "Three.", "Four."]
    producer.post("lines/move/", {"project": play.pk, "lines": [three["id"], last["id"]], "before": first["id"]}, 204)
    assert texts(play) == ["Zero.", "Three.", "Four.", "One.", "Two."]
    producer.post("lines/move/", {"project": play.pk, "lines": [three["id"]], "before": None}, 204)
    assert texts(play)[-1] == "Three."
    changed = producer.patch(f"lines/{two['id']}/", {"text": "Two!", "character": None, "revision": 0})
    assert (changed["text"], changed["revision"], changed["speed"]) == ("Two!", 1, 1.0)
    producer.delete(f"lines/{two['id']}/")
    listed = producer.get(f"lines/?project={play.pk}&search=o&ordering=-position")
    assert [row["text"] for row in listed["results"]] == ["One.", "Four.", "Zero."]
    assert producer.get(f"lines/?project={play.pk}&state=done")["count"] == 0
    assert producer.get(f"lines/?speaker=Ann&character={heart.pk}")["count"] == 2


def test_of_two_who_edit_one_line_the_second_is_told(producer: Caller, play: Project) -> None:
    (line,) = with_lines(producer, play, "Old.")
    path = f"lines/{line['id']}/"
    producer.patch(path, {"text": "Mine.", "revision": 0})
    assert code(producer.patch(path, {"text": "Other.", "revision": 0}, 409)) == "conflict"
    assert producer.get(path)["text"] == "Mine."
    producer.patch(path, {"text": "Other."})


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"text": "  "}, "text"),
        ({"text": "x" * 5001}, "text"),
        ({"text": "a\0b"}, "text"),
        ({"text": 1}, "text"),
        ({"text": "x", "speed": 9}, "speed"),
        ({"text": "x", "speed": "1"}, "speed"),
        ({"text": "x", "character": 999}, "character"),
        ({"text": "x", "speaker": "x" * 101}, "speaker"),
        ({"text": "x", "state": "done"}, "state"),
        ({"text": "x", "teapot": 1}, "teapot"),
    ],
    ids=range(12),
)
def test_a_wrong_line_is_refused_and_none_is_stored(
    producer: Caller, play: Project, line: dict[str, Any], field: str
) -> None:
    body = {"project": play.pk, "lines": [{"text": "Good."}, line]}
    refused = producer.post("lines/", body, 400)
    assert param(refused) == "lines" and "Line 2" in refused["error"]["message"], refused
    assert field in refused["error"]["message"]
    assert not play.lines.exists()


def test_bodies_of_lines(producer: Caller, play: Project, ann: User) -> None:
    other = Project.objects.create(name="Other", kind="phase", owner=ann)
    (foreign,) = with_lines(producer, other, "Foreign.")
    (line,) = with_lines(producer, play, "One.")
    for body, field in (
        ({"project": play.pk, "lines": []}, "lines"),
        ({"project": play.pk, "lines": "x"}, "lines"),
        ({"project": play.pk}, "lines"),
        ({"lines": [{"text": "x"}]}, "project"),
        ({"project": play.pk, "lines": [{"text": "x"}] * 1001}, "lines"),
        ({"project": play.pk, "lines": [{"text": "x"}], "after": foreign["id"]}, "after"),
        ({"project": play.pk, "lines": [{"text": "x"}], "after": 10**20}, "after"),
    ):
        assert param(producer.post("lines/", body, 400)) == field
    for move, field in (
        ({"project": play.pk, "lines": [line["id"]], "before": foreign["id"]}, "before"),
        ({"project": play.pk, "lines": ["x"]}, "lines"),
    ):
        assert field in param(producer.post("lines/move/", move, 400))
    producer.post("lines/move/", {"project": play.pk, "lines": [foreign["id"]]}, 204)
    assert (texts(play), texts(other)) == (["One."], ["Foreign."])
    changes: list[Any] = [{"text": " "}, {"revision": -1}, {"speed": 0}, {"position": 5}, []]
    for change in changes:
        producer.patch(f"lines/{line['id']}/", change, 400)


# Generating.


def test_lines_are_generated_and_cancelled(producer: Caller, play: Project, ann: User, heart: Character) -> None:
    voiced(play, ann, heart, "Done.")
    one, _two = with_lines(producer, play, "One.", "Two.", character=heart.pk)
    with_lines(producer, play, "Nobody's.")
    path = f"projects/{play.pk}/"
    assert producer.post(f"{path}generate/", {"lines": [one["id"], 10**9]}, 200)["queued"] == 1
    outcome = producer.post(f"{path}generate/", {}, 200)
    assert (outcome["queued"], outcome["waiting"]) == (1, 1)
    assert outcome["refused"] == [{"reason": "No character is chosen.", "lines": 1}]
    counts = producer.get(f"{path}counts/")["counts"]
    assert counts == {"missing": 1, "queued": 2, "running": 0, "failed": 0, "stale": 0, "done": 1}
    assert producer.post(f"{path}cancel/", {"lines": [one["id"]]}, 200) == {"cancelled": 1}
    assert producer.post(f"{path}cancel/", {}, 200) == {"cancelled": 1}
    Take.objects.filter(line=one["id"]).update(state=TakeState.FAILED, error="No.", error_code="upstream_failed")
    row = producer.get(f"lines/{one['id']}/")
    assert (row["state"], row["error"], row["error_code"]) == ("failed", "No.", "upstream_failed")
    for body, field in (({"want": "some"}, "want"), ({"lines": [0]}, "lines"), ({"lines": 3}, "lines")):
        assert field in param(producer.post(f"{path}generate/", body, 400))
    assert producer.get(f"projects/{play.pk}/")["progress"] == {"done": 1, "total": 4}


# Imports.


def test_a_script_is_imported(producer: Caller, play: Project, heart: Character) -> None:
    path = f"projects/{play.pk}/import/"
    text = "Anna: Hello.\nBob (softly): Hi. And more.\n"
    dry = producer.post(path, {"text": text, "dry_run": True}, 200)
    assert dry["lines"] == 2 and not play.lines.exists() and not play.cast.exists()
    assert dry["speakers"] == [
        {"name": "Anna", "lines": 1, "character": heart.pk},
        {"name": "Bob", "lines": 1, "character": None},
    ]
    made = producer.post(path, {"text": text, "how": "sentence", "cast": {"Bob": heart.pk}})
    assert made["lines"] == 3 and texts(play) == ["Hello.", "Hi.", "And more."]
    assert set(play.lines.values_list("character", flat=True)) == {heart.pk}
    assert producer.post(path, {"text": "Bob: Again.", "replace": True})["speakers"][0]["character"] == heart.pk
    assert texts(play) == ["Again."]
    producer.post(path, {"text": "Plain.", "labels": False})
    assert texts(play) == ["Again.", "Plain."]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "text"),
        ({"text": ""}, "text"),
        ({"text": "…"}, "text"),
        ({"text": 5}, "text"),
        ({"text": "x", "how": "film"}, "how"),
        ({"text": "x", "how": "pattern"}, "pattern"),
        ({"text": "x", "how": "pattern", "pattern": "("}, "pattern"),
        ({"text": "a" * 200 + "!", "how": "pattern", "pattern": r"(a+)+$|(a|aa)+?b|(.*.*)*="}, "pattern"),
        ({"text": "x", "longest": 1}, "longest"),
        ({"text": "x", "cast": {"Bob": 999}}, "cast"),
        ({"text": "x", "cast": {"Bob": "x"}}, "cast"),
        ({"text": "x", "labels": "yes"}, "labels"),
        ({"text": "x", "teapot": 1}, "teapot"),
        ({"text": "Yes.\n" * 50_001, "how": "line", "labels": False}, "text"),
    ],
    ids=range(14),
)
def test_what_can_not_be_imported(producer: Caller, play: Project, body: dict[str, Any], field: str) -> None:
    told = param(producer.post(f"projects/{play.pk}/import/", body, 400))
    assert told.split(".")[0] == field, told
    assert not play.lines.exists()


def test_a_book_is_larger_than_other_bodies(server: str, bank: Bank) -> None:
    without_limits()
    caller = keyed(*RIGHTS)
    assert caller.user
    book = Project.objects.create(name="Book", kind="phase", owner=caller.user, bank=bank)
    text = "word " * 400_000
    with httpx.Client(base_url=server, headers=caller.headers, timeout=120, trust_env=False) as client:
        answer = client.post(f"/api/projects/{book.pk}/import/", json={"text": text, "longest": 5000})
        assert answer.status_code == 201, answer.text
        assert answer.json()["lines"] == book.lines.count() > 390
        other = client.post("/api/lines/", json={"project": book.pk, "lines": [{"text": text}]})
        assert other.status_code == 413


# Exports and takes.


def options(format: str = "mp3") -> dict[str, Any]:
    return ExportOptions(What.AUDIO, format).as_json()


def test_exports_are_asked_for_cancelled_and_deleted(
    producer: Caller, play: Project, ann: User, heart: Character
) -> None:
    assert (
        "No line has audio yet"
        in producer.post("exports/", {"project": play.pk, "what": "files"}, 400)["error"]["message"]
    )
    voiced(play, ann, heart, "One.")
    made = producer.post("exports/", {"project": play.pk, "what": "audio", "format": "m4b", "loudness": None})
    assert made["options"] == ExportOptions(What.AUDIO, "m4b", loudness=None).as_json()
    assert (made["state"], made["progress"], made["owner"]) == ("queued", 0, ann.pk)
    first = producer.post("exports/", {"project": play.pk, "what": "subtitles", "speaker_prefix": True})
    assert (first["options"]["format"], first["options"]["speaker_prefix"]) == ("srt", True)
    with_lines(producer, play, "Two.")
    body = {"project": play.pk, "what": "files"}
    assert param(producer.post("exports/", body, 400)) == "incomplete"
    producer.post("exports/", {**body, "incomplete": True})
    path = f"exports/{made['id']}/"
    assert producer.post(f"{path}cancel/", None, 200)["state"] == "cancelled"
    assert code(producer.get(f"{path}file/", 404)) == "not_found"
    assert producer.get(f"exports/?project={play.pk}&state=queued")["count"] == 2
    producer.delete(path)
    producer.get(path, 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "what"),
        ({"what": "film"}, "what"),
        ({"what": "audio", "format": "srt"}, "format"),
        ({"what": "audio", "format": "exe"}, "format"),
        ({"what": "files", "format": "mp3"}, "format"),
        ({"what": "audio", "gap_ms": -1}, "gap_ms"),
        ({"what": "audio", "gap_ms": 600_001}, "gap_ms"),
        ({"what": "audio", "chapter_gap_ms": 0.5}, "chapter_gap_ms"),
        ({"what": "audio", "loudness": 0}, "loudness"),
        ({"what": "audio", "only_done": 1}, "only_done"),
        ({"what": "audio", "teapot": True}, "teapot"),
    ],
    ids=range(11),
)
def test_wrong_exports(
    producer: Caller, play: Project, ann: User, heart: Character, body: dict[str, Any], field: str
) -> None:
    voiced(play, ann, heart, "One.")
    assert param(producer.post("exports/", {"project": play.pk, **body}, 400)) == field
    assert not Export.objects.exists()


def test_takes_are_ones_own(producer: Caller, ann: User, heart: Character) -> None:
    mine, waiting = done(ann, heart, text="Mine.", format="wav"), queued(ann, heart)
    others = done(make_user(), heart, text="Theirs.", format="wav")
    assert {row["id"] for row in producer.get("takes/")["results"]} == {mine.pk, waiting.pk}
    row = producer.get(f"takes/{mine.pk}/")
    assert (row["text"], row["state"], row["duration"]) == ("Mine.", "done", pytest.approx(0.1, abs=0.01))
    for path in (f"takes/{others.pk}/", f"takes/{others.pk}/audio/", f"takes/{waiting.pk}/audio/"):
        producer.get(path, 404)
    assert session(superuser=True).get("takes/?state=done")["count"] == 2
    keyed(*RIGHTS).get("takes/", 403)
    producer.post("takes/", {}, 405)


def test_files_are_sent_whole_and_in_parts(server: str, bank: Bank) -> None:
    without_limits()
    caller = keyed(*RIGHTS, "studio.view_take")
    assert caller.user
    play = Project.objects.create(name="Play", kind="dialogue", owner=caller.user, bank=bank, format="wav")
    (line,) = voiced(play, caller.user, bank.characters.get(), "One.")
    export = Export(project=play, owner=caller.user, options_json=options(), state="done")
    export.file.save("a.mp3", ContentFile(b"sound" * 100))
    assert line.take
    with httpx.Client(base_url=server, headers=caller.headers, timeout=60, trust_env=False) as client:
        whole = client.get(f"/api/exports/{export.pk}/file/")
        assert whole.content == b"sound" * 100 and whole.headers["content-type"] == "audio/mpeg"
        assert whole.headers["cache-control"] == "no-store" and "Play.mp3" in whole.headers["content-disposition"]
        part = client.get(f"/api/exports/{export.pk}/file/", headers={"Range": "bytes=5-9"})
        assert (part.status_code, part.content) == (206, b"sound")
        audio = client.get(f"/api/takes/{line.take.pk}/audio/")
        assert audio.content == file_of(line.take) and audio.headers["content-type"] == "audio/wav"
