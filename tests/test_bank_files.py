"""Banks as files: what goes out comes in again, and nothing of a hostile file does."""

from __future__ import annotations

import io
import json
import os
import struct
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import models
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from banks.bundle import read_manifest
from banks.export_bank import export_bank
from banks.images import avatar_image
from banks.import_bank import import_bank, same_providers
from banks.models import Bank, Character, Membership, Pronunciation, ReferenceAudio
from banks.roster import load_roster
from banks.storage import private_storage
from providers import adapters
from providers.models import Provider
from tests.admin_pages import person, picture, recording
from tests.sounds import tone, wav_file

IMPORT = "/admin/banks/bank/import/"
RIGHTS = [f"banks.add_{model}" for model in ("bank", "character", "membership", "referenceaudio")]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def everything_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(adapters._KINDS, "everything", "tests.everything_adapter.EverythingAdapter")


@pytest.fixture
def admin() -> Client:
    return person(superuser=True)


@pytest.fixture
def studio() -> Provider:
    return Provider.objects.create(
        name="Studio", kind="everything", base_url="http://10.1.2.3:8080/v1", api_key="sk-secret-key"
    )


@pytest.fixture
def inside() -> Provider:
    return Provider.objects.create(name="Inside", kind="embedded")


@pytest.fixture
def stories(studio: Provider, inside: Provider) -> Bank:
    """One of everything: cloned, designed and preset, with every field set somewhere, and a fallback outside."""
    reference = ReferenceAudio(name="Grandpa", transcript="Es war einmal …", language="de", consent_note="By letter")
    reference.may_be_cloned = True
    reference.keep(wav_file(tone(44_100, 1.3), 44_100))
    reference.save()
    outside = Character.objects.create(name="Outside", provider=inside, voice="heart")
    heart = Character.objects.create(
        name="Heart",
        provider=inside,
        voice="heart",
        aliases=["alloy", "心"],
        avatar=avatar_image(picture()),
        speed=1.25,
    )
    teller = Character.objects.create(
        name="Großvater",
        description="Old\nand <slow>",
        provider=studio,
        task_mode="clone",
        reference=reference,
        prompt_text="Es war",
        prompt_language="de",
        language="de-AT",
        options={"temperature": 1.5, "seed": -7},
        fallback=outside,
    )
    deep = Character.objects.create(
        name="Deep", provider=studio, task_mode="design", instruction="very deep", enabled=False, fallback=teller
    )
    bank = Bank.objects.create(name="Stories", description="Evenings", public=True, default_character=heart)
    for position, character in enumerate([teller, heart, deep]):
        Membership.objects.create(bank=bank, character=character, position=position * 10)
    gone = Character.objects.create(name="Gone", provider=inside, archived_at="2026-01-01T00:00Z")
    Membership.objects.create(bank=bank, character=gone, position=5)
    return bank


def stored_files() -> set[str]:
    storage = private_storage()
    folders = [folder for folder in ("references", "avatars", "imports") if storage.exists(folder)]
    return {f"{folder}/{name}" for folder in folders for name in storage.listdir(folder)[1]}


def rows() -> dict[str, int]:
    kinds: list[type[models.Model]] = [Bank, Character, Membership, Pronunciation, ReferenceAudio, Provider]
    return {kind.__name__: kind._default_manager.count() for kind in kinds}


def without_identity(character: Character | None) -> dict[str, Any] | None:
    """All that a character is, its recording, picture and fallback included, but for keys, file names and times."""
    if character is None:
        return None
    left_out = {"id", "created_at", "updated_at", "avatar", "reference", "fallback"}
    values = {field.name: getattr(character, field.attname) for field in character._meta.concrete_fields}
    reference = character.reference
    told = reference and [
        reference.recording(), reference.name, reference.transcript, reference.language, reference.consent_note,
        reference.may_be_cloned, reference.duration, reference.peak, reference.loudness, reference.waveform,
    ]  # fmt: skip
    size = None
    if character.avatar:
        with character.avatar.open("rb") as file, Image.open(file) as image:
            size = image.size
    kept = {name: value for name, value in values.items() if name not in left_out}
    return {**kept, "reference": told, "avatar": size, "fallback": without_identity(character.fallback)}


def members(bank: Bank) -> list[dict[str, Any] | None]:
    places = bank.memberships.filter(character__archived_at=None)
    return [without_identity(place.character) for place in places]


def upload(packed: bytes, name: str = "bank.zip") -> dict[str, Any]:
    return {"file": SimpleUploadedFile(name, packed, "application/zip")}


def repacked(packed: bytes, change: Callable[[dict[str, bytes]], Any]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    return pack(files)


def pack(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def with_manifest(packed: bytes, change: Callable[[Any], Any]) -> bytes:
    def apply(files: dict[str, bytes]) -> None:
        manifest = json.loads(files["manifest.json"])
        change(manifest)
        files["manifest.json"] = json.dumps(manifest).encode()

    return repacked(packed, apply)


def refusal(response: Any) -> str:
    assert response.status_code == 200
    return " ".join(response.context["form"].errors["file"])


class TestRoundTrip:
    def test_an_exported_bank_gives_equal_characters(self, admin: Client, stories: Bank) -> None:
        packed = admin.get(f"/admin/banks/bank/{stories.pk}/export/").content
        response = admin.post(IMPORT, upload(packed))
        bank = Bank.objects.get(name="Stories (2)")
        assert response["Location"] == f"/admin/banks/bank/{bank.pk}/change/"
        assert members(bank) == members(stories) and len(members(bank)) == 3
        assert (bank.description, bank.active, bank.public) == ("Evenings", False, False)
        assert bank.default_character and bank.default_character.name == "Heart"
        assert bank.default_character not in stories.characters.all()
        # A fallback that two characters lead to comes once, and recordings are not shared with what was there.
        assert Character.objects.filter(name="Outside").count() == 2
        assert ReferenceAudio.objects.count() == 2
        assert private_storage().exists(str(ReferenceAudio.objects.last().file.name))  # type: ignore[union-attr]

    def test_it_speaks_once_it_is_switched_on(self, admin: Client, stories: Bank) -> None:
        admin.post(IMPORT, {**upload(export_bank(stories)), "active": "on"})
        there = {bank.name: [speaker.name for speaker in bank.speakers] for bank in load_roster().banks}
        assert there == {"Stories": ["Großvater", "Heart"], "Stories (2)": ["Großvater", "Heart"]}

    def test_to_another_server(self, stories: Bank, studio: Provider, inside: Provider) -> None:
        packed, wanted = export_bank(stories), members(stories)
        for made in (Bank, Character, ReferenceAudio):
            made.objects.all().delete()
        bank = import_bank(io.BytesIO(packed), _same(packed))
        assert bank.name == "Stories" and members(bank) == wanted

    def test_it_holds_no_key_and_no_address(self, stories: Bank) -> None:
        with zipfile.ZipFile(io.BytesIO(export_bank(stories))) as archive:
            everything = b"".join(archive.read(name) for name in archive.namelist())
            assert sorted(archive.namelist()) == ["avatars/2.webp", "manifest.json", "references/1.flac"]
        assert b"sk-secret" not in everything and b"10.1.2.3" not in everything

    def test_the_rules_of_a_bank_go_along_and_those_for_everybody_do_not(self, admin: Client, stories: Bank) -> None:
        rules: list[dict[str, Any]] = [
            {"written": "Nguyễn", "spoken": "win", "language": "en"},
            {"written": r"(\d+) ?km", "spoken": r"\1 kilometres", "is_pattern": True, "enabled": False},
            {"written": "US", "spoken": "", "match_case": True},
        ]
        for rule in rules:
            Pronunciation.objects.create(bank=stories, **rule)
        Pronunciation.objects.create(written="gif", spoken="jif")
        admin.post(IMPORT, upload(export_bank(stories)))
        came = Bank.objects.get(name="Stories (2)")
        kept = ("written", "spoken", "language", "is_pattern", "match_case", "enabled")
        assert list(came.pronunciations.values(*kept)) == list(stories.pronunciations.values(*kept))
        assert came.pronunciations.count() == 3 and Pronunciation.objects.count() == 7

    def test_a_file_from_before_there_were_rules_is_read(self, admin: Client, stories: Bank) -> None:
        old = with_manifest(export_bank(stories), lambda manifest: manifest.pop("pronunciations"))
        admin.post(IMPORT, upload(old))
        assert members(Bank.objects.get(name="Stories (2)")) == members(stories)

    def test_an_empty_bank(self, admin: Client) -> None:
        admin.post(IMPORT, upload(export_bank(Bank.objects.create(name="Nobody"))))
        assert members(Bank.objects.get(name="Nobody (2)")) == []

    def test_a_recording_that_the_disk_has_lost_is_named(self, admin: Client, stories: Bank) -> None:
        reference = ReferenceAudio.objects.get()
        private_storage().delete(str(reference.file.name))
        page = admin.get(f"/admin/banks/bank/{stories.pk}/export/", follow=True).content.decode()
        assert "was not exported" in page and "The file of “Grandpa” is missing" in page

    def test_the_name_of_the_file(self, admin: Client, stories: Bank) -> None:
        stories.name = 'Märchen "1" / 夜'
        stories.save()
        header = admin.get(f"/admin/banks/bank/{stories.pk}/export/")["Content-Disposition"]
        assert header.startswith("attachment;") and "/" not in header and "m%C3%A4rchen" in header


def _same(packed: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return same_providers(read_manifest(archive.read("manifest.json")))


class TestProviders:
    def test_an_unknown_one_is_chosen_on_a_page(self, admin: Client, stories: Bank, studio: Provider) -> None:
        packed = export_bank(stories)
        wanted = members(stories)
        studio.name = "Elsewhere"
        studio.save()
        waiting = {name for name in stored_files() if name.startswith("imports/")}
        assert admin.post(IMPORT, upload(packed))["Location"] == IMPORT
        page = admin.get(IMPORT)
        assert "Speaks for: Großvater, Deep" in page.content.decode()
        assert list(page.context["form"].fields) == ["provider_0"]
        before = rows()
        for wrong in ("", "999", "x"):
            assert "provider_0" in admin.post(IMPORT, {"provider_0": wrong}).context["form"].errors
        assert rows() == before
        admin.post(IMPORT, {"provider_0": studio.pk})
        assert members(Bank.objects.get(name="Stories (2)")) == wanted
        assert {name for name in stored_files() if name.startswith("imports/")} == waiting
        assert "Exported bank" in admin.get(IMPORT).content.decode()

    def test_one_of_another_kind_takes_what_it_can(self, admin: Client, inside: Provider) -> None:
        server = Provider.objects.create(name="Server", kind="everything", base_url="http://127.0.0.1:9")
        preset = Character.objects.create(
            name="Ann", provider=server, voice="ann", model="big", options={"seed": 1, "temperature": 0.5}
        )
        bank = Bank.objects.create(name="Stories")
        bank.append(preset)
        packed = export_bank(bank)
        server.name = "Elsewhere"
        server.save()
        admin.post(IMPORT, upload(packed))
        admin.post(IMPORT, {"provider_0": inside.pk})
        came = Bank.objects.get(name="Stories (2)").characters.get()
        assert (came.provider, came.voice, came.options) == (inside, "ann", {})

    def test_one_that_can_not_do_the_task_is_refused_at_its_field(
        self, admin: Client, stories: Bank, studio: Provider, inside: Provider
    ) -> None:
        packed = export_bank(stories)
        studio.name = "Elsewhere"
        studio.save()
        admin.post(IMPORT, upload(packed))
        before, files = rows(), stored_files()
        response = admin.post(IMPORT, {"provider_0": inside.pk})
        assert (
            "“Großvater”, task_mode: This provider can only do: preset."
            in response.context["form"].errors["provider_0"]
        )
        assert (rows(), stored_files()) == (before, files)

    def test_the_same_name_of_another_kind_is_another_provider(self, stories: Bank, studio: Provider) -> None:
        packed = export_bank(stories)
        Provider.objects.filter(pk=studio.pk).update(kind="openai")
        assert [entry.name for entry in _same(packed)] == ["Inside"]
        Provider.objects.filter(pk=studio.pk).update(kind="everything", name="STUDIO")
        assert len(_same(packed)) == 2

    def test_another_file_can_be_taken(self, admin: Client, stories: Bank, studio: Provider) -> None:
        packed = export_bank(stories)
        Provider.objects.filter(pk=studio.pk).update(name="Elsewhere")
        before = stored_files()
        admin.post(IMPORT, upload(packed))
        assert len(stored_files() - before) == 1
        admin.post(IMPORT, {"forget": "yes"})
        assert stored_files() == before
        assert "Exported bank" in admin.get(IMPORT).content.decode()

    def test_a_file_that_nobody_came_back_for_goes(self, admin: Client, stories: Bank, studio: Provider) -> None:
        packed = export_bank(stories)
        Provider.objects.filter(pk=studio.pk).update(name="Elsewhere")
        before = stored_files()
        admin.post(IMPORT, upload(packed))
        (waiting,) = stored_files() - before
        yesterday = time.time() - 25 * 3600
        os.utime(private_storage().path(waiting), (yesterday, yesterday))
        person(superuser=True).post(IMPORT, upload(packed))
        assert waiting not in stored_files()
        # Whoever comes back after all begins anew.
        assert "Exported bank" in admin.get(IMPORT).content.decode()
        assert admin.post(IMPORT, {"provider_0": studio.pk}).status_code == 200
        assert Bank.objects.count() == 1

    def test_somebody_else_s_file_is_not_theirs(self, admin: Client, stories: Bank, studio: Provider) -> None:
        packed = export_bank(stories)
        Provider.objects.filter(pk=studio.pk).update(name="Elsewhere")
        admin.post(IMPORT, upload(packed))
        assert "Großvater" not in person(*RIGHTS).get(IMPORT).content.decode()


def _bomb() -> bytes:
    return pack({"manifest.json": b"{}", "references/1.flac": bytes(60 * 1024**2)})


def _lying_size() -> bytes:
    """A member that says it holds ten bytes and unpacks to many."""
    packed = bytearray(pack({"manifest.json": b" " * 1_000_000}))
    directory = packed.rindex(b"PK\x01\x02")
    packed[directory + 24 : directory + 28] = struct.pack("<I", 10)
    return bytes(packed)


def _named(name: str) -> bytes:
    return pack({"manifest.json": b"{}", name: b"x"})


HOSTILE = {
    "empty": (b"", "empty"),
    "text": (b"not a zip", "not a zip file"),
    "picture": (picture(), "not a zip file"),
    "audio": (recording(), "not a zip file"),
    "truncated": (pack({"manifest.json": b"{}" * 5000})[:-30], "not a zip file"),
    "only-the-end": (b"PK\x05\x06" + bytes(18), "no manifest.json"),
    "behind-text": (b"#!/bin/sh\n" + pack({"manifest.json": b"{}"}) + b"tail", "not a zip file"),
    "huge-directory": (b"PK\x05\x06" + bytes(8) + struct.pack("<I", 0x7FFFFFFF) + bytes(6), "more than 2500"),
    "zip64": (b"PK\x06\x07" + bytes(16) + b"PK\x05\x06" + bytes(18), "more than 2500"),
    "no-manifest": (pack({"references/1.flac": b"x"}), "no manifest.json"),
    "parent": (_named("../../evil.py"), "does not belong"),
    "absolute": (_named("/etc/cron.d/evil"), "does not belong"),
    "backslash": (_named("..\\evil.py"), "does not belong"),
    "drive": (_named("C:/evil.webp"), "does not belong"),
    "parent-inside": (_named("references/../../evil.flac"), "does not belong"),
    "deep": (_named("references/a/b.flac"), "does not belong"),
    "script": (_named("avatars/1.svg"), "does not belong"),
    "smile": (_named("references/\N{SMILE}.flac"), "does not belong"),
    "folder": (_named("references/"), "does not belong"),
    "bomb": (_bomb(), "packed more tightly"),
    "lying-size": (_lying_size(), "damaged"),
    "many-files": (pack({"manifest.json": b"{}", **{f"avatars/{n}.webp": b"" for n in range(2600)}}), "more than 2500"),
    "lzma": (pack({"manifest.json": b"{}"}, zipfile.ZIP_LZMA), "packed in a way"),
    "not-json": (pack({"manifest.json": b"{'a': 1}"}), "not readable JSON"),
    "not-utf8": (pack({"manifest.json": b"\xff\xfe"}), "not readable JSON"),
    "deep-json": (pack({"manifest.json": b"[" * 200_000}), "not readable JSON"),
    "nan": (pack({"manifest.json": b'{"format": NaN}'}), "not readable JSON"),
    "long-number": (pack({"manifest.json": b"9" * 10_000}), "not readable JSON"),
    "list": (pack({"manifest.json": b"[]"}), "not an exported bank"),
    "other-format": (pack({"manifest.json": b'{"format": "x", "version": 1}'}), "not an exported bank"),
    "later-version": (pack({"manifest.json": b'{"format": "neiroha-bank", "version": 2}'}), "has version 2"),
    "true-version": (pack({"manifest.json": b'{"format": "neiroha-bank", "version": "1"}'}), "has version 1"),
    "nothing-else": (pack({"manifest.json": b'{"format": "neiroha-bank", "version": 1}'}), "not as it should be"),
}


RULE = {
    "written": "gif", "spoken": "jif", "is_pattern": False, "language": "", "match_case": False, "enabled": True,
}  # fmt: skip


class TestHostileFiles:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_it_is_refused_with_its_reason_and_nothing_is_stored(self, admin: Client, name: str) -> None:
        content, reason = HOSTILE[name]
        before, files = rows(), stored_files()
        assert reason in refusal(admin.post(IMPORT, upload(content)))
        assert (rows(), stored_files()) == (before, files)

    def test_a_member_that_is_there_twice(self, admin: Client) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("manifest.json", b"{}")
            archive.writestr("manifest.json", b"{}")
        assert "twice" in refusal(admin.post(IMPORT, upload(packed.getvalue())))

    def test_a_member_with_a_zero_in_its_name(self, admin: Client) -> None:
        packed = _named("references/1.flac").replace(b"references/1.flac", b"manifest.json\0abc")
        assert "does not belong" in refusal(admin.post(IMPORT, upload(packed)))

    def test_one_of_the_server_s_own_size_limit(self, admin: Client) -> None:
        assert "larger than 100 MB" in refusal(admin.post(IMPORT, upload(bytes(100 * 1024**2 + 1))))

    @pytest.mark.parametrize(
        "change",
        [
            lambda m: m.update(name=7),
            lambda m: m.update(name=None),
            lambda m: m.update(extra=1),
            lambda m: m.pop("description"),
            lambda m: m.update(characters={}),
            lambda m: m.update(characters=[1]),
            lambda m: m.update(default_character=True),
            lambda m: m.update(default_character=-1),
            lambda m: m.update(default_character=99),
            lambda m: m.update(default_character=3),
            lambda m: m["characters"][0].update(provider=2),
            lambda m: m["characters"][0].update(provider="0"),
            lambda m: m["characters"][0].update(reference=1),
            lambda m: m["characters"][0].update(fallback=1.0),
            lambda m: m["characters"][0].update(speed="1"),
            lambda m: m["characters"][0].update(speed=True),
            lambda m: m["characters"][0].update(speed=10**400),
            lambda m: m["characters"][0].update(enabled=1),
            lambda m: m["characters"][0].update(aliases="alloy"),
            lambda m: m["characters"][0].update(aliases=[1]),
            lambda m: m["characters"][0].update(options=[]),
            lambda m: m["characters"][0].update(options={"seed": {}}),
            lambda m: m["characters"][0].update(options={"seed": None}),
            lambda m: m["characters"][0].update(options={"seed": 10**30}),
            lambda m: m["characters"][0].update(name="half \ud800"),
            lambda m: m["characters"][0].update(name="nul \0"),
            lambda m: m["characters"][0].update(description="d" * 20_001),
            lambda m: m["references"][0].update(may_be_cloned="yes"),
            lambda m: m.update(pronunciations=None),
            lambda m: m.update(pronunciations=[{"written": "a"}]),
            lambda m: m.update(pronunciations=[{**RULE, "enabled": 1}]),
            lambda m: m.update(pronunciations=[{**RULE, "spoken": "nul \0"}]),
        ],
        ids=range(32),
    )
    def test_a_manifest_of_wrong_types(self, admin: Client, stories: Bank, change: Callable[[Any], Any]) -> None:
        packed = with_manifest(export_bank(stories), change)
        before, files = rows(), stored_files()
        assert "is not as it should be" in refusal(admin.post(IMPORT, upload(packed)))
        assert (rows(), stored_files()) == (before, files)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda m: m.update(name=""), "name: This field cannot be blank"),
            (lambda m: m.update(name="n" * 101), "at most 100 characters"),
            (lambda m: m["characters"][0].update(name="one, two"), "use neither"),
            (lambda m: m["characters"][0].update(speed=40), "less than or equal to 4"),
            (lambda m: m["characters"][0].update(task_mode="sing"), "not a valid choice"),
            (lambda m: m["characters"][0].update(options={"volume": 11}), "Unknown option"),
            (lambda m: m["characters"][0].update(options={"seed": "7"}), "whole number"),
            (lambda m: m["characters"][0].update(reference=None, options={}), "needs it"),
            (lambda m: m["characters"][0].update(fallback=0), "own fallback"),
            (lambda m: m["characters"][0].update(aliases=["a" * 101]), "aliases"),
            (lambda m: m["references"][0].update(name="n" * 101), "at most 100 characters"),
            (lambda m: m.update(pronunciations=[RULE, RULE]), "pronunciations[1]: There is a rule for this already"),
            (lambda m: m.update(pronunciations=[{**RULE, "written": " "}]), "pronunciations[0]: written: Enter a word"),
            (lambda m: m.update(pronunciations=[{**RULE, "written": "(", "is_pattern": True}]), "can't be used"),
            (lambda m: m.update(pronunciations=[{**RULE, "spoken": "x" * 201}]), "at most 200 characters"),
            (lambda m: m.update(pronunciations=[RULE] * 2001), "at most 2000 rules"),
        ],
        ids=range(16),
    )
    def test_what_no_form_would_take_either(
        self, admin: Client, stories: Bank, change: Callable[[Any], Any], reason: str
    ) -> None:
        packed = with_manifest(export_bank(stories), change)
        if reason == "needs it":
            packed = with_manifest(packed, lambda m: m.update(references=[]))
            packed = repacked(packed, lambda files: files.pop("references/1.flac"))
        before, files = rows(), stored_files()
        assert reason in refusal(admin.post(IMPORT, upload(packed)))
        assert (rows(), stored_files()) == (before, files)

    @pytest.mark.parametrize(
        "content",
        [picture(), b"ffconcat version 1.0\nfile /etc/passwd\n", b"", recording()[:40], b"<script>alert(1)</script>"],
        ids=["picture", "playlist", "nothing", "header-only", "text"],
    )
    def test_a_recording_that_is_none(self, admin: Client, stories: Bank, content: bytes) -> None:
        packed = repacked(export_bank(stories), lambda files: files.update({"references/1.flac": content}))
        before, files = rows(), stored_files()
        assert "references/1.flac:" in refusal(admin.post(IMPORT, upload(packed)))
        assert (rows(), stored_files()) == (before, files)

    @pytest.mark.parametrize(
        "content",
        [b"<svg xmlns='http://www.w3.org/2000/svg'/>", recording(), picture()[:200], b"", picture((8, 8), "TIFF")],
        ids=["svg", "audio", "truncated", "nothing", "tiff"],
    )
    def test_a_picture_that_is_none(self, admin: Client, stories: Bank, content: bytes) -> None:
        packed = repacked(export_bank(stories), lambda files: files.update({"avatars/2.webp": content}))
        before, files = rows(), stored_files()
        assert "avatars/2.webp:" in refusal(admin.post(IMPORT, upload(packed)))
        assert (rows(), stored_files()) == (before, files)

    def test_files_that_are_missing_or_too_many(self, admin: Client, stories: Bank) -> None:
        whole = export_bank(stories)
        missing = repacked(whole, lambda files: files.pop("avatars/2.webp"))
        assert "avatars/2.webp is missing" in refusal(admin.post(IMPORT, upload(missing)))
        more = repacked(whole, lambda files: files.update({"avatars/9.webp": b"x"}))
        assert "files that no character uses" in refusal(admin.post(IMPORT, upload(more)))
        twice = with_manifest(whole, lambda m: m["characters"][0].update(avatar="avatars/2.webp"))
        assert "files that no character uses" in refusal(admin.post(IMPORT, upload(twice)))
        outside = with_manifest(whole, lambda m: m["characters"][0].update(avatar="../../secrets/secret_key"))
        assert "is missing in it" in refusal(admin.post(IMPORT, upload(outside)))

    @given(st.binary(max_size=400), st.integers(0, 3000))
    def test_damage_anywhere_is_refused_or_harmless(self, noise: bytes, at: int) -> None:
        packed = bytearray(_small())
        packed[at : at + len(noise)] = noise
        try:
            bank = import_bank(io.BytesIO(bytes(packed)), {})
        except ValidationError as error:
            assert error.messages
        else:
            assert bank.memberships.count() == 0


def _small() -> bytes:
    manifest = {
        "format": "neiroha-bank", "version": 1, "name": "Nobody", "description": "", "default_character": None,
        "providers": [], "references": [], "characters": [],
    }  # fmt: skip
    return pack({"manifest.json": json.dumps(manifest).encode()})


class TestRights:
    def test_export_needs_sight_of_all_of_it(self, stories: Bank) -> None:
        page = f"/admin/banks/bank/{stories.pk}/export/"
        rights = ["banks.view_bank", "banks.change_character", "banks.view_referenceaudio"]
        assert person(*rights).get(page).status_code == 200
        for left_out in rights:
            assert person(*(right for right in rights if right != left_out)).get(page).status_code in (403, 404)
        for outsider in (Client(), person(staff=False)):
            assert "/admin/login/" in outsider.get(page)["Location"]
        assert person(superuser=True).get("/admin/banks/bank/999/export/").status_code == 404

    def test_import_needs_the_right_to_add_all_of_it(self, stories: Bank) -> None:
        packed, before = export_bank(stories), rows()
        for left_out in RIGHTS:
            others = person(*(right for right in RIGHTS if right != left_out))
            assert others.get(IMPORT).status_code == 403
            assert others.post(IMPORT, upload(packed)).status_code == 403
        for outsider in (Client(), person(staff=False)):
            assert "/admin/login/" in outsider.post(IMPORT, upload(packed))["Location"]
        assert rows() == before
        assert person(*RIGHTS).post(IMPORT, upload(packed)).status_code == 302
        assert rows()["Bank"] == before["Bank"] + 1

    def test_rules_take_rights_of_their_own(self, stories: Bank) -> None:
        Pronunciation.objects.create(bank=stories, written="gif", spoken="jif")
        page = f"/admin/banks/bank/{stories.pk}/export/"
        sight = ["banks.view_bank", "banks.view_character", "banks.view_referenceaudio"]
        assert person(*sight).get(page).status_code == 403
        packed = person(*sight, "banks.view_pronunciation").get(page).content
        assert "lack the right" in refusal(person(*RIGHTS).post(IMPORT, upload(packed)))
        assert not Bank.objects.filter(name="Stories (2)").exists()
        assert person(*RIGHTS, "banks.add_pronunciation").post(IMPORT, upload(packed)).status_code == 302
        assert Bank.objects.get(name="Stories (2)").pronunciations.count() == 1

    def test_a_page_elsewhere_can_not_send_one(self, stories: Bank) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.cookies = person(superuser=True).cookies
        assert strict.post(IMPORT, upload(export_bank(stories))).status_code == 403
        assert Bank.objects.count() == 1


@pytest.fixture
def browser_like(server: str) -> Iterator[httpx.Client]:
    """An administrator at the real server."""
    cookies = {name: morsel.value for name, morsel in person(superuser=True).cookies.items()}
    with httpx.Client(base_url=server, cookies=cookies, timeout=120, trust_env=False) as client:
        client.get(IMPORT)
        client.headers["X-CSRFToken"] = client.cookies["csrftoken"]
        yield client


def test_the_real_server_packs_and_unpacks(browser_like: httpx.Client, stories: Bank) -> None:
    exported = browser_like.get(f"/admin/banks/bank/{stories.pk}/export/")
    assert exported.headers["content-type"] == "application/zip"
    answer = browser_like.post(IMPORT, files={"file": ("bank.zip", exported.content)})
    assert answer.status_code == 302, answer.text
    assert members(Bank.objects.get(name="Stories (2)")) == members(stories)


def test_it_takes_larger_files_here_than_elsewhere(browser_like: httpx.Client) -> None:
    packed = pack({"manifest.json": b"{}", "references/1.flac": bytes(40 * 1024**2)}, zipfile.ZIP_STORED)
    assert "This is not an exported bank." in browser_like.post(IMPORT, files={"file": ("bank.zip", packed)}).text
    elsewhere = browser_like.post("/admin/banks/referenceaudio/add/", files={"upload": ("voice.wav", packed)})
    assert elsewhere.status_code == 413


def test_two_hundred_megabytes_are_not_taken_in(server: str) -> None:
    def endless() -> Any:
        for _ in range(200):
            yield bytes(1024**2)

    before = stored_files()
    with httpx.Client(base_url=server, timeout=120, trust_env=False) as client:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        try:
            answer = client.post(IMPORT, content=endless(), headers=headers)
        except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
            pass  # it hung up in the middle, which is as good
        else:
            assert answer.status_code == 413
        assert client.get("/health").status_code == 200
    assert stored_files() == before
