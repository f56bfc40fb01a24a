"""Files for the import from the desktop application that are something else, damaged, or made to do harm."""

from __future__ import annotations

import io
import os
import random
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from providers.errors import BadAudio
from studio.desktop import database as limits
from studio.desktop import sounds as sound_limits
from studio.desktop.database import DesktopUnreadable, Row, opened
from studio.desktop.reading import Contents, read
from studio.desktop.sounds import FolderSounds, ZipSounds
from tests.desktop import FOX, NEWEST, audio_folder, changed, database, zipped


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return database(tmp_path)


def refusal(path: Path) -> str:
    with pytest.raises(DesktopUnreadable) as caught:
        read(path)
    return caught.value.message


def lines_of(contents: Contents) -> list[str]:
    return [line.text for project in contents.projects for line in project.lines]


class TestDatabases:
    @pytest.mark.parametrize("content", [b"", b"SQLite", b"PK\x03\x04" + b"\0" * 100, b"\x89PNG", b"{}"])
    def test_no_database(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "neiroha.db"
        path.write_bytes(content)
        assert refusal(path).startswith("This is not an SQLite database.")

    def test_no_file(self, tmp_path: Path) -> None:
        assert refusal(tmp_path / "gone.db") == "The file can't be read: No such file or directory."
        assert refusal(tmp_path) == "The file can't be read: Is a directory."

    @pytest.mark.parametrize(
        "script", ["CREATE TABLE songs (id TEXT)", "CREATE TABLE tts_providers (id TEXT, name TEXT)"]
    )
    def test_the_database_of_something_else(self, tmp_path: Path, script: str) -> None:
        path = changed(tmp_path / "other.db", script)
        assert refusal(path) == "This is not a database of the Neiroha desktop application."

    def test_one_that_is_cut_off(self, path: Path) -> None:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 3])
        assert refusal(path).startswith("The database is damaged")

    def test_damaged_anywhere_it_is_read_or_refused(self, path: Path) -> None:
        whole, chance = path.read_bytes(), random.Random(7)
        for _round in range(150):
            damaged = bytearray(whole)
            for _byte in range(chance.choice([1, 20, 500])):
                damaged[chance.randrange(100, len(damaged))] = chance.randrange(256)
            path.write_bytes(bytes(damaged))
            try:
                assert isinstance(read(path), Contents)
            except DesktopUnreadable as error:
                assert error.message

    def test_a_file_that_lies_about_its_pages(self, path: Path) -> None:
        whole = bytearray(path.read_bytes())
        whole[16:18] = b"\x00\x03"  # a page size that none has
        path.write_bytes(bytes(whole))
        assert refusal(path).startswith("The database is damaged")

    @pytest.mark.parametrize("ending", ["-wal", "-journal"])
    def test_changes_that_are_not_in_it_yet(self, path: Path, ending: str) -> None:
        beside = path.with_name(path.name + ending)
        beside.write_bytes(b"")
        assert FOX in lines_of(read(path))
        beside.write_bytes(b"something")
        assert refusal(path).startswith(f"Beside it lies neiroha.db{ending}")

    def test_while_the_application_writes(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("UPDATE voice_banks SET name = 'Other'")
            connection.commit()
            assert "-wal" in refusal(path)
        assert {bank.name for bank in read(path).banks} == {"Other"}

    def test_nothing_is_written_beside_it(self, path: Path) -> None:
        before = path.read_bytes(), path.stat().st_mtime_ns
        path.chmod(0o400)
        read(path)
        assert (path.read_bytes(), path.stat().st_mtime_ns) == before
        assert os.listdir(path.parent) == ["neiroha.db"]

    def test_a_name_that_looks_like_options(self, path: Path) -> None:
        odd = path.rename(path.with_name("a?mode=rwc&b#c%20.db"))
        assert FOX in lines_of(read(odd))

    def test_views_and_what_programs_compute_are_no_tables(self, path: Path) -> None:
        changed(
            path,
            "DROP TABLE dialog_tts_lines;"
            " CREATE VIEW dialog_tts_lines AS"
            " SELECT id, 'd-1' AS project_id, 'from a view' AS line_text FROM voice_assets;"
            " DROP TABLE subtitle_cues; CREATE VIRTUAL TABLE subtitle_cues USING fts5(id, project_id, cue_text);"
            " INSERT INTO subtitle_cues VALUES ('x', 'c-1', 'from a program')",
        )
        assert not {"from a view", "from a program"} & set(lines_of(read(path)))

    def test_what_a_column_computes_is_not_asked_for(self, path: Path) -> None:
        changed(
            path,
            "ALTER TABLE voice_banks RENAME TO old;"
            " CREATE TABLE voice_banks (id TEXT, name TEXT AS (hex(zeroblob(1000))), created_at INTEGER);"
            " INSERT INTO voice_banks (id) VALUES ('b')",
        )
        assert [bank.name for bank in read(path).banks] == ["b"]

    def test_only_reading_is_allowed(self, path: Path) -> None:
        with opened(path) as found:
            for statement in (
                "DELETE FROM voice_banks",
                "ATTACH '/tmp/other.db' AS other",
                "SELECT load_extension('x')",
                "SELECT upper(name) FROM voice_banks",
                "PRAGMA query_only = OFF",
                "CREATE TEMP TABLE t (a)",
            ):
                with pytest.raises(sqlite3.DatabaseError):
                    found._connection.execute(statement)

    def test_triggers_sleep(self, path: Path) -> None:
        changed(path, "CREATE TRIGGER t AFTER UPDATE ON voice_banks BEGIN DELETE FROM voice_assets; END")
        assert len(read(path).voices) == 7


class TestBounds:
    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("MOST_ROWS", 3, "has more rows than are taken"),
            ("MOST_READ", 1000, "holds more text than is taken"),
            ("MOST_BYTES", 1000, "is larger than"),
            ("MOST_CELL", 60, "is damaged"),
            ("_STEPS", -1, "is damaged"),
        ],
    )
    def test_too_much(self, path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: int, message: str) -> None:
        monkeypatch.setattr(limits, name, value)
        if name == "_STEPS":
            monkeypatch.setattr(limits, "_STEPS_A_CALL", 1)
        assert message in refusal(path)

    def test_a_cell_of_many_megabytes(self, path: Path) -> None:
        changed(path, f"UPDATE voice_assets SET description = hex(zeroblob({limits.MOST_CELL})) WHERE id = 'v-bella'")
        assert refusal(path).startswith("The database is damaged")


class TestValues:
    def test_of_other_types(self, path: Path) -> None:
        changed(
            path,
            "UPDATE dialog_tts_lines SET line_text = x'80ff', order_index = 'first', voice_asset_id = 7"
            " WHERE id = 'd-1-a';"
            " UPDATE dialog_tts_lines SET line_text = 42, audio_path = 1e999 WHERE id = 'd-1-b';"
            " UPDATE subtitle_cues SET start_ms = -5, end_ms = 9e18;"
            " UPDATE dialog_tts_projects SET created_at = 'yesterday', updated_at = 9e18;"
            " UPDATE tts_providers SET max_concurrency = -3, requests_per_minute = 1e12 WHERE id = 'p-kokoro'",
        )
        contents = read(path)
        visit = next(project for project in contents.projects if project.id == "d-1")
        by_id = {line.id: line for line in visit.lines}
        assert (by_id["d-1-a"].text, by_id["d-1-a"].voice) == ("", "7")
        assert (by_id["d-1-b"].text, by_id["d-1-b"].audio) == ("42", "Inf")
        assert (visit.created, visit.changed) == (None, None)
        cue = next(project for project in contents.projects if project.id == "c-1").lines[0]
        assert (cue.start_ms, cue.end_ms) == (None, None)
        kokoro = next(provider for provider in contents.providers if provider.id == "p-kokoro")
        assert kokoro.limits == {"tokens_per_day": 90_000}

    @pytest.mark.parametrize(
        ("value", "text"),
        [("  a\0b\x1b[2Jc\n ", "ab[2Jc"), (b"bytes", ""), (None, ""), (1.5, "1.5"), ("x" * 50, "x" * 10)],
    )
    def test_texts(self, value: object, text: str) -> None:
        assert Row({"column": value}).text("column", 10) == text
        assert Row({}).text("column") == ""

    @pytest.mark.parametrize(
        ("value", "year"),
        [(1_750_000_000, 2025), ("2024-05-06T07:08:09.000Z", 2024), ("2024-05-06", 2024), (-1, None), ("soon", None)],
    )
    def test_moments(self, value: object, year: int | None) -> None:
        moment = Row({"at": value}).moment("at")
        assert (moment.year if moment else None) == year
        assert moment is None or moment.tzinfo is not None

    def test_rows_without_an_id_or_with_one_twice(self, path: Path) -> None:
        changed(
            path,
            "CREATE TABLE t AS SELECT * FROM voice_banks; DROP TABLE voice_banks; ALTER TABLE t RENAME TO voice_banks;"
            " INSERT INTO voice_banks SELECT * FROM voice_banks; INSERT INTO voice_banks (name) VALUES ('Nobody')",
        )
        assert [bank.id for bank in read(path).banks] == ["default-bank", "b-tales"]

    def test_keys_are_in_no_description(self, path: Path) -> None:
        assert "sk-kokoro" not in repr(read(path))
        assert read(path).version == NEWEST


class TestFolders:
    def test_found_by_the_end_of_a_path_of_any_system(self, tmp_path: Path) -> None:
        folder = audio_folder(tmp_path, [("dialog_tts/A/x.wav", b"1"), ("dialog_tts/B/x.wav", b"2")])
        for place in (folder, tmp_path):
            sounds = FolderSounds(place)
            for path in (r"C:\Old\Voice_Asset\Dialog_TTS\a\X.WAV", "/srv/dialog_tts/A/x.wav", "dialog_tts/A/x.wav"):
                name = sounds.find(path)
                assert name is not None and sounds.read(name) == b"1"

    @pytest.mark.parametrize("path", ["", "/", "..", "/other/C/x.wav", "x.wav", "/etc/passwd", "../../passwd", "\0"])
    def test_what_fits_nothing_or_several_is_not_found(self, tmp_path: Path, path: str) -> None:
        folder = audio_folder(tmp_path, [("dialog_tts/A/x.wav", b"1"), ("dialog_tts/B/x.wav", b"2")])
        assert FolderSounds(folder).find(path) is None

    def test_a_file_at_the_top(self, tmp_path: Path) -> None:
        folder = audio_folder(tmp_path, [("x.wav", b"1")])
        assert FolderSounds(folder).find(r"C:\voice_asset\dialog_tts\A\x.wav") == "x.wav"

    def test_links_lead_nowhere(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret" / "x.wav"
        secret.parent.mkdir()
        secret.write_bytes(b"secret")
        folder = audio_folder(tmp_path, [("dialog_tts/A/y.wav", b"1")])
        (folder / "dialog_tts" / "A" / "x.wav").symlink_to(secret)
        (folder / "dialog_tts" / "B").symlink_to(secret.parent)
        sounds = FolderSounds(folder)
        assert sounds.find("/dialog_tts/A/x.wav") is None and sounds.find("/dialog_tts/B/x.wav") is None

    def test_a_file_that_is_gone_meanwhile_or_is_too_large(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = audio_folder(tmp_path, [("x.wav", b"12345")])
        sounds = FolderSounds(folder)
        monkeypatch.setattr(sound_limits, "MOST_FILE_BYTES", 4)
        with pytest.raises(BadAudio, match="larger than"):
            sounds.read("x.wav")
        (folder / "x.wav").unlink()
        with pytest.raises(BadAudio, match="can't be read"):
            sounds.read("x.wav")

    def test_too_many_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sound_limits, "MOST_FILES", 1)
        folder = audio_folder(tmp_path, [("x.wav", b"1"), ("y.wav", b"2")])
        with pytest.raises(DesktopUnreadable, match="more than 1 files"):
            FolderSounds(folder)


def archive(*entries: tuple[str, bytes], packed: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packed) as made:
        for name, content in entries:
            made.writestr(name, content)
    return file


class TestZips:
    def test_names_that_lead_outside_are_only_names(self) -> None:
        sounds = ZipSounds(archive(("../../etc/dialog_tts/A/x.wav", b"1"), ("/abs/dialog_tts/B/x.wav", b"2")))
        name = sounds.find("/srv/dialog_tts/A/x.wav")
        assert name is not None and sounds.read(name) == b"1"

    @pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + b"\xff" * 18])
    def test_no_zip(self, content: bytes) -> None:
        with pytest.raises(DesktopUnreadable):
            ZipSounds(io.BytesIO(content))

    def test_a_bomb_is_not_there(self) -> None:
        sounds = ZipSounds(archive(("A/bomb.wav", bytes(40_000_000)), ("A/x.wav", b"1")))
        assert sounds.find("/A/bomb.wav") is None and sounds.find("/A/x.wav") is not None

    def test_more_than_is_unpacked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sound_limits, "MOST_UNPACKED", 10)
        with pytest.raises(DesktopUnreadable, match="Unpacked"):
            ZipSounds(archive(("x.wav", b"12345678901")))

    def test_a_directory_that_would_fill_the_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sound_limits, "_MOST_DIRECTORY_BYTES", 50)
        with pytest.raises(DesktopUnreadable, match="more than"):
            ZipSounds(archive(("x.wav", b"1"), ("y.wav", b"1")))

    @pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_packed_in_another_way(self, method: int) -> None:
        assert ZipSounds(archive(("A/x.wav", b"1" * 50), packed=method)).find("/A/x.wav") is None

    def test_damaged_inside(self, tmp_path: Path) -> None:
        path = zipped(audio_folder(tmp_path, [("A/x.wav", random.Random(1).randbytes(2000))]))
        broken = bytearray(path.read_bytes())
        broken[600:640] = bytes(40)
        sounds = ZipSounds(io.BytesIO(bytes(broken)))
        name = sounds.find("/A/x.wav")
        assert name is not None
        with pytest.raises(BadAudio, match="damaged"):
            sounds.read(name)
