"""The import from the desktop application: what comes of its database, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection

from banks.models import Bank, Character, ReferenceAudio
from banks.storage import private_storage
from providers.audio import decode
from providers.audit import AuditEntry
from providers.models import Provider
from studio import lines
from studio.desktop.imports import bring, look
from studio.desktop.job import Options
from studio.desktop.report import Entry, Report, Verdict, What
from studio.desktop.sounds import FolderSounds, ZipSounds
from studio.files import QuotaSpent
from studio.freshness import refresh
from studio.models import CastEntry, Line, LineState, Project, ReadingPlace, StudioSettings, Take, TakeState
from studio.projects import remove
from tests.desktop import DOCTOR, FOX, HOUSE, NEWEST, NOBODY, TRAIN, audio_folder, changed, database, recordings, zipped
from tests.hearing import assert_heard
from tests.sounds import seconds_of
from tests.studio import clear_files, file_of, somebody, stored

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> Iterator[User]:
    yield somebody("ann", superuser=True)
    clear_files()


@pytest.fixture
def sounds(tmp_path: Path) -> FolderSounds:
    return FolderSounds(audio_folder(tmp_path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return database(tmp_path)


def entry(report: Report, what: What, name: str) -> Entry:
    (found,) = [one for one in report.of(what) if one.name == name]
    return found


def everything() -> dict[str, int]:
    """The rows of all tables, but for what counts sessions and the like."""
    models = (Provider, Character, Bank, ReferenceAudio, Project, Line, Take, CastEntry, ReadingPlace, AuditEntry)
    return {model.__name__: model._default_manager.count() for model in models}


def texts(name: str) -> list[str]:
    return list(Project.objects.get(name=name).lines.values_list("text", flat=True))


class TestVersions:
    @pytest.mark.parametrize("version", [1, 13, NEWEST])
    def test_what_was_announced_comes_and_comes_once(self, owner: User, tmp_path: Path, version: int) -> None:
        sounds, path = FolderSounds(audio_folder(tmp_path)), database(tmp_path, version)
        before = everything()
        seen = look(path, sounds, Options(owner))
        assert everything() == before
        assert stored() == set()
        assert seen.version == version
        assert bring(path, sounds, Options(owner)) == seen
        after = everything()
        assert after["Provider"] - before["Provider"] == seen.count(What.PROVIDER, Verdict.NEW) > 0
        assert after["Character"] - before["Character"] == seen.count(What.CHARACTER, Verdict.NEW) > 0
        assert after["Bank"] - before["Bank"] == seen.count(What.BANK, Verdict.NEW)
        assert after["Project"] - before["Project"] == seen.count(What.PROJECT, Verdict.NEW)
        assert after["Line"] - before["Line"] == seen.lines
        assert after["Take"] - before["Take"] == seen.audio == len(stored())
        again = bring(path, sounds, Options(owner))
        assert again.is_empty
        assert everything() == after
        assert len(stored()) == seen.audio

    def test_the_first_had_voices_alone(self, owner: User, tmp_path: Path) -> None:
        bring(database(tmp_path, 1), FolderSounds(None), Options(owner))
        bella = Character.objects.get()
        assert (bella.name, bella.voice, bella.model, bella.speed) == ("Bella", "af_bella", "kokoro", 1.25)
        assert (bella.provider.kind, bella.provider.base_url) == ("openai", "http://127.0.0.1:8880/v1")

    def test_a_newer_version_of_what_came_is_known_again(
        self, owner: User, tmp_path: Path, sounds: FolderSounds
    ) -> None:
        bring(database(tmp_path, 13), sounds, Options(owner))
        report = bring(database(tmp_path, NEWEST), sounds, Options(owner))
        new = [one.name for one in report.entries if one.verdict is Verdict.NEW]
        assert new == ["Google AI Studio", "A book"]

    def test_what_a_later_one_adds_is_no_hindrance(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        changed(
            path,
            "ALTER TABLE dialog_tts_lines ADD COLUMN mood TEXT; CREATE TABLE radio_plays (id TEXT);"
            " ALTER TABLE phase_tts_segments DROP COLUMN speaker_label; DROP TABLE audio_tracks;"
            " PRAGMA user_version = 99",
        )
        report = bring(path, sounds, Options(owner))
        assert report.version == 99
        assert texts("The visit")[:2] == [FOX, NOBODY]


class TestProviders:
    def test_kinds_addresses_and_limits(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        bring(path, sounds, Options(owner))
        kinds = dict(Provider.objects.values_list("name", "kind"))
        assert kinds == {
            "Kokoro": "openai",
            "VoxCPM2": "voxcpm",
            "SoVITS": "gpt_sovits",
            "Azure": "azure",
            "Google AI Studio": "gemini",
        }
        kokoro = Provider.objects.get(name="Kokoro")
        assert kokoro.enabled and kokoro.options == {"model": "kokoro"}
        assert (kokoro.max_concurrency, kokoro.requests_per_minute, kokoro.tokens_per_day) == (3, 20, 90_000)
        assert kokoro.requests_per_day == 0

    def test_keys_stay_where_they_are(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        report = bring(path, sounds, Options(owner))
        assert {one.api_key for one in Provider.objects.all()} == {""}
        assert entry(report, What.PROVIDER, "Kokoro").notes == ["Its key does not come along: enter it here."]
        azure = Provider.objects.get(name="Azure")
        assert not azure.enabled
        assert "Switched off, since it needs a key." in entry(report, What.PROVIDER, "Azure").notes
        assert "azure-key" not in repr(report)

    def test_keys_that_are_asked_for_come_encrypted(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        bring(path, sounds, Options(owner, with_keys=True))
        azure = Provider.objects.get(name="Azure")
        assert azure.enabled and azure.api_key == "azure-key"
        with connection.cursor() as cursor:
            cursor.execute("SELECT api_key FROM providers_provider")
            raw = [key for (key,) in cursor.fetchall() if key]
        assert len(raw) == 3 and not {"azure-key", "sk-kokoro", "g-key"} & set(raw)

    def test_one_that_is_here_is_used_and_not_changed(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        here = Provider.objects.create(name="KOKORO", kind="openai", base_url="http://127.0.0.1:8880/v1", api_key="own")
        report = bring(path, sounds, Options(owner, with_keys=True))
        assert entry(report, What.PROVIDER, "Kokoro").verdict is Verdict.HERE
        assert Character.objects.get(name="Bella").provider == here
        here.refresh_from_db()
        assert (here.name, here.api_key, here.tokens_per_day) == ("KOKORO", "own", 0)

    def test_another_of_the_same_name_gets_a_number(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        Provider.objects.create(name="Kokoro", kind="openai", base_url="http://127.0.0.1:9999")
        bring(path, sounds, Options(owner))
        assert Character.objects.get(name="Bella").provider.name == "Kokoro (2)"

    def test_an_unknown_kind_is_left_out_with_its_voices(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        report = bring(path, sounds, Options(owner))
        left = entry(report, What.PROVIDER, "Qwen")
        assert left.verdict is Verdict.LEFT
        assert left.notes == ["There is no kind of provider here for “qwen3Tts”."]
        assert entry(report, What.CHARACTER, "Qwen voice").verdict is Verdict.LEFT
        line = Line.objects.get(text="I had another voice.")
        assert (line.speaker, line.character) == ("Qwen voice", None)

    @pytest.mark.parametrize(
        "address", ["ftp://files", "http://u:p@host/", "not an address", "", "http://169.254.169.254/latest"]
    )
    def test_an_address_that_no_provider_may_have(
        self, owner: User, path: Path, sounds: FolderSounds, address: str
    ) -> None:
        changed(path, f"UPDATE tts_providers SET base_url = '{address}' WHERE id = 'p-kokoro'")
        report = bring(path, sounds, Options(owner))
        left = entry(report, What.PROVIDER, "Kokoro")
        assert left.verdict is Verdict.LEFT and left.notes != []
        assert not Provider.objects.filter(name="Kokoro").exists()

    def test_examples_come_once_somebody_used_them(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        report = look(path, sounds, Options(owner))
        for what, name in (
            (What.PROVIDER, "OpenAI TTS"),
            (What.CHARACTER, "Default Voice"),
            (What.BANK, "Default Bank"),
            (What.PROJECT, "Sample Narration"),
        ):
            assert entry(report, what, name).verdict is Verdict.LEFT
        changed(path, "UPDATE tts_providers SET enabled = 1 WHERE id = 'default-openai-tts'")
        report = look(path, sounds, Options(owner))
        assert entry(report, What.CHARACTER, "Default Voice").verdict is Verdict.NEW
        assert entry(report, What.BANK, "Default Bank").verdict is Verdict.NEW


class TestVoices:
    def test_a_bank_with_its_characters_in_their_order(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        bring(path, sounds, Options(owner))
        bank = Bank.objects.get()
        assert (bank.name, bank.description, bank.active) == ("Tales", "For tales", False)
        assert [place.character.name for place in bank.memberships.all()] == ["Bella", "Old man"]

    def test_a_clone_has_its_recording_cut_as_there(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        bring(path, sounds, Options(owner))
        man = Character.objects.get(name="Old man")
        assert man.enabled and man.task_mode == "clone" and man.prompt_text == "What he says"
        assert man.reference is not None and not man.reference.may_be_cloned
        pcm, rate = decode(man.reference.recording())
        assert seconds_of(pcm, rate) == pytest.approx(1.0) == man.reference.duration

    def test_a_recording_of_the_library_is_shared(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        bring(path, sounds, Options(owner))
        reader = ReferenceAudio.objects.get(name="Reader")
        assert Character.objects.get(name="Reader").reference == reader
        assert (reader.transcript, reader.language, reader.duration) == ("What the reader says", "en", 3.0)
        assert ReferenceAudio.objects.count() == 2

    def test_one_without_its_recording_comes_switched_off(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        report = bring(path, sounds, Options(owner))
        mei = Character.objects.get(name="Mei")
        assert not mei.enabled and (mei.language, mei.model) == ("zh", "")
        assert entry(report, What.CHARACTER, "Mei").missing == [
            r"C:\Users\ann\voice_asset\voice_character_ref\gone.wav"
        ]

    def test_values_that_no_character_may_have(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        changed(
            path,
            "UPDATE voice_assets SET speed = 1e300, task_mode = 'sing', name = x'00ff' WHERE id = 'v-bella';"
            " UPDATE voice_assets SET speed = 99.0, name = 'a,b' || char(10) || 'c' || char(0, 27) || '[31m'"
            " WHERE id = 'v-azure'",
        )
        bring(path, sounds, Options(owner))
        bella, azure = Character.objects.get(voice="af_bella"), Character.objects.get(voice="en-US-JennyNeural")
        assert (bella.name, bella.speed, bella.task_mode) == ("v-bella", 1.0, "preset")
        assert (azure.name, azure.speed) == ("a b c[31m", 4.0)


class TestProjects:
    def test_all_four_kinds(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        bring(path, sounds, Options(owner))
        kinds = {project.name: (project.kind, project.bank) for project in Project.objects.all()}
        tales = Bank.objects.get()
        assert kinds == {
            "The visit": ("dialogue", tales),
            "Narration": ("phase", tales),
            "Uncut": ("phase", tales),
            "A book": ("novel", tales),
            "Film": ("dub", tales),
        }
        assert {project.owner for project in Project.objects.all()} == {owner}
        visit = Project.objects.get(name="The visit")
        assert (visit.created_at.timestamp(), visit.changed_at.timestamp()) == (1_750_000_200, 1_750_000_300)

    def test_a_dialogue_in_its_order_with_its_cast(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        report = bring(path, sounds, Options(owner))
        visit = Project.objects.get(name="The visit")
        spoken = [(line.text, line.speaker, str(line.character)) for line in visit.lines.all()]
        assert spoken == [
            (FOX, "Bella", "Bella"),
            (NOBODY, "Bella", "Bella"),
            ("I am not spoken yet.", "Old, man", "Old man"),
            ("My file is gone.", "Bella", "Bella"),
            ("I had another voice.", "Qwen voice", "None"),
        ]
        assert {one.speaker: one.character.name for one in visit.cast.all()} == {
            "Bella": "Bella",
            "Old, man": "Old man",
        }
        assert entry(report, What.PROJECT, "The visit").left_out["The line has no text."] == 1

    def test_a_book_with_chapters_voices_and_the_readers_place(
        self, owner: User, path: Path, sounds: FolderSounds
    ) -> None:
        bring(path, sounds, Options(owner))
        book = Project.objects.get(name="A book")
        assert [(line.chapter, line.text, str(line.character)) for line in book.lines.all()] == [
            ("Chapter one", "It rained all day.", "Bella"),
            ("", "“Come in,” she said.", "Old man"),
            ("Chapter two", DOCTOR, "Bella"),
        ]
        assert ReadingPlace.objects.get(user=owner, project=book).line == book.lines.get(text=DOCTOR)

    def test_cues_with_their_times(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        report = bring(path, sounds, Options(owner))
        film = Project.objects.get(name="Film")
        assert list(film.lines.values_list("start_ms", "end_ms")) == [(500, 2500), (None, None)]
        assert "“film.mp4”" in entry(report, What.PROJECT, "Film").notes[0]

    def test_a_script_that_was_never_cut_comes_in_paragraphs_once(
        self, owner: User, path: Path, sounds: FolderSounds
    ) -> None:
        bring(path, sounds, Options(owner))
        assert texts("Uncut") == ["First paragraph.", "Second paragraph."]
        changed(
            path,
            "INSERT INTO phase_tts_segments (id, project_id, order_index, segment_text)"
            " VALUES ('s-2-a', 's-2', 0, 'First paragraph.')",
        )
        report = bring(path, sounds, Options(owner))
        assert texts("Uncut") == ["First paragraph.", "Second paragraph."]
        assert "came before" in entry(report, What.PROJECT, "Uncut").notes[0]

    def test_a_text_that_is_too_long_for_a_line_is_cut(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        changed(
            path,
            "UPDATE dialog_tts_lines SET line_text = replace(hex(zeroblob(3000)), '00', 'Ha. ') WHERE id = 'd-1-a'",
        )
        seen = look(path, sounds, Options(owner))
        report = bring(path, sounds, Options(owner))
        assert report == seen
        visit = Project.objects.get(name="The visit")
        assert "".join("".join(texts("The visit")[:3]).split()) == "Ha." * 3000
        assert visit.lines.count() == 7 == entry(report, What.PROJECT, "The visit").lines[Verdict.NEW]
        assert "The line was too long, and is cut into several." in entry(report, What.PROJECT, "The visit").left_out

    def test_they_stand_in_the_audit_trail(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        bring(path, sounds, Options(owner, owner))
        named = set(AuditEntry.objects.filter(user=owner).values_list("object_name", flat=True))
        assert {"Kokoro", "Bella", "Tales", "The visit", "A book"} <= named


class TestAudio:
    def test_lines_are_current_and_say_what_they_said(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        bring(path, sounds, Options(owner))
        for project in Project.objects.all():
            refresh(project)
        done = Line.objects.in_state([LineState.DONE]).select_related("take")
        assert sorted(line.text for line in done) == sorted([FOX, NOBODY, HOUSE, DOCTOR])
        for line in done:
            assert line.take is not None and line.take == line.attempt
            assert_heard(line.text, file_of(line.take))

    def test_a_take_says_what_it_is(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        bring(path, sounds, Options(owner))
        take = Take.objects.get(text=FOX)
        assert (take.state, take.owner, take.character) == (TakeState.DONE, owner, Character.objects.get(name="Bella"))
        assert (take.project, take.line) == (Project.objects.get(name="The visit"), Line.objects.get(text=FOX))
        pcm, rate = decode(recordings()["dialog_tts/The visit/line_0.wav"])
        assert (take.sample_rate, take.size) == (rate, len(file_of(take)))
        assert take.duration == pytest.approx(seconds_of(pcm, rate))
        assert max(take.waveform) > 0 and take.made_with.voice.voice == "af_bella"

    def test_files_of_one_format_stay_as_they_are(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        bring(path, sounds, Options(owner))
        formats = dict(Project.objects.values_list("name", "format"))
        assert (formats["The visit"], formats["Narration"], formats["Film"]) == ("wav", "mp3", "flac")
        assert file_of(Take.objects.get(text=HOUSE)) == recordings()["phase_tts/Narration/seg_0.mp3"]
        assert file_of(Take.objects.get(text=FOX)) == recordings()["dialog_tts/The visit/line_0.wav"]

    def test_files_of_several_formats_become_one_that_loses_nothing(
        self, owner: User, path: Path, tmp_path: Path
    ) -> None:
        files = recordings()
        files["dialog_tts/The visit/line_1.mp3"] = files["phase_tts/Narration/seg_0.mp3"]
        changed(
            path, r"UPDATE dialog_tts_lines SET audio_path = 'D:\dialog_tts\The visit\line_1.mp3' WHERE id = 'd-1-b'"
        )
        bring(path, FolderSounds(audio_folder(tmp_path, files.items())), Options(owner))
        assert Project.objects.get(name="The visit").format == "flac"
        take = Take.objects.get(text=FOX)
        assert take.format == "flac" and decode(file_of(take)) == decode(files["dialog_tts/The visit/line_0.wav"])

    def test_from_a_zip(self, owner: User, path: Path, tmp_path: Path, sounds: FolderSounds) -> None:
        seen = look(path, sounds, Options(owner))
        with zipped(tmp_path / "voice_asset").open("rb") as file:
            assert bring(path, ZipSounds(file), Options(owner)) == seen
        assert_heard(FOX, file_of(Take.objects.get(text=FOX)))

    def test_what_is_missing_or_broken_is_named(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        report = bring(path, sounds, Options(owner))
        visit, narration = (entry(report, What.PROJECT, name) for name in ("The visit", "Narration"))
        assert visit.missing == [r"C:\Users\ann\voice_asset\dialog_tts\The visit\line_3.wav"]
        assert narration.left_out == {"It is no audio file, or not in a format that can be read.": 1}
        assert visit.missing[0] in report.missing

    def test_a_file_that_breaks_off_is_found_when_it_is_heard(self, owner: User, path: Path, tmp_path: Path) -> None:
        files = recordings()
        name = "dialog_tts/The visit/line_0.wav"
        files[name] = files[name][:5000]
        sounds = FolderSounds(audio_folder(tmp_path, files.items()))
        report = bring(path, sounds, Options(owner))
        assert entry(report, What.PROJECT, "The visit").left_out["The audio is cut off."] == 1
        assert Line.objects.get(text=FOX).take is None
        assert len(stored()) == report.audio

    def test_recordings_may_come_another_time(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        bring(path, FolderSounds(None), Options(owner))
        assert not Take.objects.exists()
        report = bring(path, sounds, Options(owner))
        assert (report.lines, report.audio) == (0, 5)
        assert Line.objects.in_state([LineState.DONE]).count() == 4
        assert Line.objects.get(text=HOUSE).take.format == Project.objects.get(name="Narration").format  # type: ignore[union-attr]
        assert_heard(HOUSE, file_of(Take.objects.get(text=HOUSE)))

    def test_recordings_of_characters_may_come_another_time(
        self, owner: User, path: Path, sounds: FolderSounds
    ) -> None:
        bring(path, FolderSounds(None), Options(owner))
        man = Character.objects.get(name="Old man")
        assert man.reference is None and not man.enabled
        seen = look(path, sounds, Options(owner))
        report = bring(path, sounds, Options(owner))
        assert report == seen
        man.refresh_from_db()
        assert man.reference is not None and man.reference.duration == pytest.approx(1.0)
        notes = entry(report, What.CHARACTER, "Old, man").notes
        assert notes == ["Its recording is here now. It can be switched on."]
        assert Character.objects.get(name="Reader").reference == ReferenceAudio.objects.get(name="Reader")
        Character.objects.filter(pk=man.pk).update(reference=None)
        assert bring(path, sounds, Options(owner)).is_empty
        man.refresh_from_db()
        assert man.reference is None

    def test_quick_takes_come_to_stay(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        bring(path, sounds, Options(owner))
        quick = Take.objects.get(text=TRAIN)
        assert quick.kept and quick.line is None and quick.created_at.timestamp() == 1_750_000_400
        assert not Take.objects.expired(1).exists()
        assert_heard(TRAIN, file_of(quick))

    def test_what_has_no_room_brings_nothing(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        settings = StudioSettings.load()
        settings.quota_mb = 1
        settings.save()
        huge = (
            "INSERT INTO dialog_tts_lines (id, project_id, order_index, line_text, voice_asset_id, audio_path) VALUES "
        )
        copies = [
            rf"('h-{number}', 'd-1', 9, 'Once more.', 'v-bella', 'C:\dialog_tts\The visit\line_0.wav')"
            for number in range(10)
        ]
        changed(path, huge + ", ".join(copies))
        for run in (look, bring):
            with pytest.raises(QuotaSpent):
                run(path, sounds, Options(owner))
        assert not Provider.objects.exists() and stored() == set()


class TestOnce:
    def test_what_was_changed_here_stays_so(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        bring(path, FolderSounds(None), Options(owner))
        Provider.objects.filter(name="Kokoro").update(name="Mine", base_url="http://127.0.0.1:1")
        Character.objects.filter(name="Bella").update(voice="af_sky")
        lines.edit(Line.objects.get(text=FOX), text="Other words.")
        report = bring(path, sounds, Options(owner))
        assert Provider.objects.get(name="Mine").base_url == "http://127.0.0.1:1"
        assert Character.objects.get(name="Bella").voice == "af_sky"
        changed_line = Line.objects.get(text="Other words.")
        assert changed_line.take is None
        assert entry(report, What.PROJECT, "The visit").left_out["The line has been changed here."] == 1

    def test_what_was_deleted_here_comes_back_only_when_asked(
        self, owner: User, path: Path, sounds: FolderSounds
    ) -> None:
        bring(path, sounds, Options(owner))
        visit = Project.objects.get(name="The visit")
        lines.remove(visit, visit.lines.filter(text=FOX))
        remove(Project.objects.get(name="A book"), owner)
        Bank.objects.get().delete()
        report = bring(path, sounds, Options(owner))
        assert report.is_empty
        assert entry(report, What.PROJECT, "A book").verdict is Verdict.GONE
        assert entry(report, What.BANK, "Tales").verdict is Verdict.GONE
        assert entry(report, What.PROJECT, "The visit").lines == {Verdict.HERE: 4, Verdict.GONE: 1}
        again = Options(owner, again=True)
        seen = look(path, sounds, again)
        report = bring(path, sounds, again)
        assert report == seen and (report.lines, report.audio) == (4, 1)
        assert texts("The visit")[:2] == [FOX, NOBODY]
        assert texts("A book") == ["It rained all day.", "“Come in,” she said.", DOCTOR]
        assert Bank.objects.get().characters.count() == 2
        assert bring(path, sounds, again).is_empty
        assert bring(path, sounds, Options(owner)).is_empty

    def test_what_was_archived_here_stays_so(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        bring(path, sounds, Options(owner))
        assert Character.objects.get(name="Bella").remove()
        report = bring(path, sounds, Options(owner, again=True))
        assert entry(report, What.CHARACTER, "Bella").notes == ["It is archived here: restore it on its page."]
        assert Character.objects.get(name="Bella").archived_at

    def test_new_lines_stand_where_they_stand_there(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        bring(path, sounds, Options(owner))
        changed(
            path,
            "UPDATE dialog_tts_lines SET order_index = order_index * 10;"
            " INSERT INTO dialog_tts_lines (id, project_id, order_index, line_text, voice_asset_id) VALUES"
            " ('x-1', 'd-1', 5, 'Behind the fox.', 'v-bella'), ('x-2', 'd-1', 90, 'At the end.', 'v-bella'),"
            " ('x-0', 'd-1', -1, 'Without a place.', 'v-bella');"
            " INSERT INTO voice_assets (id, name, provider_id, task_mode)"
            " VALUES ('v-new', 'New', 'p-kokoro', 'presetVoice');"
            " INSERT INTO voice_bank_members VALUES ('bm-9', 'b-tales', 'v-new')",
        )
        report = bring(path, sounds, Options(owner))
        assert report.lines == 3
        spoken = texts("The visit")
        assert spoken.index("Behind the fox.") == spoken.index(FOX) + 1
        assert spoken[-1] == "At the end."
        assert [place.character.name for place in Bank.objects.get().memberships.all()] == ["Bella", "Old man", "New"]

    def test_two_installations_are_told_apart(self, owner: User, tmp_path: Path, sounds: FolderSounds) -> None:
        """What both began with has the same ids in both."""
        used = "UPDATE tts_providers SET enabled = 1, base_url = 'http://127.0.0.1:{}' WHERE id = 'default-openai-tts';"
        only_examples = "".join(
            f"DELETE FROM {table} WHERE id NOT LIKE 'default-%';"
            for table in ("tts_providers", "voice_assets", "voice_banks", "dialog_tts_projects", "phase_tts_projects")
        )
        emptied = only_examples + "DELETE FROM video_dub_projects; DELETE FROM audio_tracks;"
        first = database(tmp_path, 13, emptied, used.format(1001))
        assert bring(first, sounds, Options(owner)).count(What.CHARACTER, Verdict.NEW) == 1
        later = (
            "UPDATE voice_banks SET created_at = 1760000000; UPDATE dialog_tts_projects SET created_at = 1760000000;"
        )
        later += "UPDATE phase_tts_projects SET created_at = 1760000000;"
        second = database(tmp_path, 13, emptied, used.format(1002), later)
        assert bring(second, sounds, Options(owner)).count(What.CHARACTER, Verdict.NEW) == 1
        assert bring(second, sounds, Options(owner)).is_empty
        assert Provider.objects.count() == 2

    def test_a_failure_in_the_middle_leaves_nothing(self, owner: User, path: Path, sounds: FolderSounds) -> None:
        """The database itself refuses the last rows."""
        before, files = everything(), all_files()
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON studio_desktoporigin BEGIN SELECT RAISE(ABORT, 'full'); END"
            )
        with pytest.raises(IntegrityError, match="full"):
            bring(path, sounds, Options(owner))
        assert everything() == before
        assert all_files() == files


def all_files() -> set[Path]:
    return {path for path in Path(private_storage().path("")).rglob("*") if path.is_file()}
