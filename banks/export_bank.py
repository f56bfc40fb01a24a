"""A bank with its characters, recordings, pictures and rules, packed into one file; see `banks.bundle`."""

from __future__ import annotations

import zipfile
from io import BytesIO

from django.core.exceptions import ValidationError
from django.db.models.fields.files import FieldFile
from django.utils.translation import gettext as _

from banks.bundle import (
    FORMAT,
    MANIFEST,
    MAX_CHARACTERS,
    VERSION,
    Bundle,
    CharacterEntry,
    ProviderEntry,
    RecordingEntry,
    RuleEntry,
    write_manifest,
)
from banks.bundle_zip import BUNDLE_BYTES
from banks.models import Bank, Character, Pronunciation, ReferenceAudio
from providers.audio import decode, encode
from providers.speech import AudioFormat


def export_bank(bank: Bank) -> bytes:
    """The zip. ValidationError where a file is missing, or it would be too large to be imported again."""
    packing = _Packing(bank)
    if len(packing.characters) > MAX_CHARACTERS:
        raise ValidationError(_("The bank has more than %d characters.") % MAX_CHARACTERS)
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(MANIFEST, write_manifest(packing.bundle()), zipfile.ZIP_DEFLATED)
        for place, reference in enumerate(packing.references):
            _add(archive, _recording_name(place), _flac(reference))
        for place, character in enumerate(packing.characters):
            if character.avatar:
                _add(archive, _avatar_name(place), _content(character.avatar, character.name))
    return packed.getvalue()


class _Packing:
    """The rows that go along, each known by its place."""

    def __init__(self, bank: Bank) -> None:
        self.bank = bank
        present = Character.objects.present().select_related("provider", "reference").defer("provider__api_key")
        members = list(present.filter(memberships__bank=bank).order_by("memberships__position", "memberships__pk"))
        self.members = len(members)
        self.characters = members
        while missing := self._missing_fallbacks():
            self.characters += present.filter(pk__in=missing).order_by("pk")
        self.references = list({one.reference.pk: one.reference for one in self.characters if one.reference}.values())
        self.providers = list(dict.fromkeys(map(_provider, self.characters)))
        self._places = {one.pk: place for place, one in enumerate(self.characters)}

    def _missing_fallbacks(self) -> set[int]:
        named = {one.fallback_id for one in self.characters if one.fallback_id is not None}
        wanted = named - {one.pk for one in self.characters}
        return set(Character.objects.present().filter(pk__in=wanted).values_list("pk", flat=True))

    def bundle(self) -> Bundle:
        default = self._places.get(self.bank.default_character_id or 0)
        return Bundle(
            format=FORMAT,
            version=VERSION,
            name=self.bank.name,
            description=self.bank.description,
            default_character=default if default is not None and default < self.members else None,
            providers=tuple(self.providers),
            references=tuple(_recording(place, one) for place, one in enumerate(self.references)),
            characters=tuple(self._character(place, one) for place, one in enumerate(self.characters)),
            pronunciations=tuple(_rule(one) for one in self.bank.pronunciations.all()),
        )

    def _character(self, place: int, character: Character) -> CharacterEntry:
        return CharacterEntry(
            name=character.name,
            description=character.description,
            enabled=character.enabled,
            aliases=tuple(character.aliases),
            avatar=_avatar_name(place) if character.avatar else None,
            provider=self.providers.index(_provider(character)),
            task_mode=character.task_mode,
            model=character.model,
            voice=character.voice,
            reference=self.references.index(character.reference) if character.reference else None,
            prompt_text=character.prompt_text,
            prompt_language=character.prompt_language,
            language=character.language,
            instruction=character.instruction,
            speed=character.speed,
            options=character.options,
            fallback=self._places.get(character.fallback_id or 0),
            member=place < self.members,
        )


def _provider(character: Character) -> ProviderEntry:
    return ProviderEntry(character.provider.kind, character.provider.name)


def _recording(place: int, reference: ReferenceAudio) -> RecordingEntry:
    return RecordingEntry(
        file=_recording_name(place),
        name=reference.name,
        transcript=reference.transcript,
        language=reference.language,
        consent_note=reference.consent_note,
        may_be_cloned=reference.may_be_cloned,
    )


def _rule(row: Pronunciation) -> RuleEntry:
    return RuleEntry(
        written=row.written,
        spoken=row.spoken,
        is_pattern=row.is_pattern,
        language=row.language,
        match_case=row.match_case,
        enabled=row.enabled,
    )


def _recording_name(place: int) -> str:
    return f"references/{place + 1}.flac"


def _avatar_name(place: int) -> str:
    return f"avatars/{place + 1}.webp"


def _flac(reference: ReferenceAudio) -> bytes:
    """Sample for sample the same, in half the space."""
    return encode(*decode(_content(reference.file, reference.name)), AudioFormat.FLAC)


def _content(file: FieldFile, name: str) -> bytes:
    try:
        with file.open("rb") as stored:
            content: bytes = stored.read()
    except FileNotFoundError as error:
        raise ValidationError(_("The file of “%s” is missing in the data folder. Upload it again.") % name) from error
    return content


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(name, content, zipfile.ZIP_STORED)
    assert archive.fp is not None
    if archive.fp.tell() > BUNDLE_BYTES:
        raise ValidationError(_("Its recordings take more than %d MB. Trim them first.") % (BUNDLE_BYTES // 1024**2))
