"""An exported bank comes in: all of it, in one transaction, or nothing at all; see `banks.bundle`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import IO

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.fields.files import FieldFile
from django.utils.translation import gettext as _

from banks.bundle import Bundle, CharacterEntry, ProviderEntry, RecordingEntry
from banks.bundle_zip import BundleFile, opened_bundle
from banks.dictionary import problems
from banks.images import avatar_image
from banks.models import Bank, Character, Pronunciation, ReferenceAudio, free_name
from banks.recordings import REFERENCE_SECONDS
from providers import adapters
from providers.audio import to_reference_wav
from providers.errors import BadAudio
from providers.models import Provider
from providers.order import last_position

type Chosen = Mapping[ProviderEntry, Provider]


class NotImported(ValidationError):
    """`provider` is the entry whose choice does not fit, where there is one."""

    def __init__(self, reasons: list[str], provider: ProviderEntry | None = None) -> None:
        super().__init__([ValidationError(reason) for reason in reasons])
        self.provider = provider


def same_providers(bundle: Bundle) -> dict[ProviderEntry, Provider]:
    """Those of its providers that are here, of the same kind and with the same name in any case."""
    here = Provider.objects.present().filter(kind__in=list(adapters.kinds())).defer("api_key")
    found = {(provider.kind, provider.name.casefold()): provider for provider in here}
    matches = {entry: found.get((entry.kind, entry.name.casefold())) for entry in bundle.providers}
    return {entry: provider for entry, provider in matches.items() if provider is not None}


def import_bank(file: IO[bytes], chosen: Chosen, *, active: bool = False) -> Bank:
    """The new bank; a name that is taken gets a number. ValidationError says why nothing was imported."""
    stored: list[FieldFile] = []
    try:
        with opened_bundle(file) as opened:
            incoming = _Incoming(opened.bundle, chosen)
            for entry in opened.bundle.references:
                incoming.references.append(_recording(entry, opened, stored))
            for one in opened.bundle.characters:
                incoming.characters.append(_character(one, opened, incoming, stored))
        with transaction.atomic():
            return incoming.save(active)
    except BaseException:
        for written in stored:
            written.storage.delete(written.name or "")
        raise


def _recording(entry: RecordingEntry, opened: BundleFile, stored: list[FieldFile]) -> ReferenceAudio:
    reference = ReferenceAudio(
        name=entry.name,
        transcript=entry.transcript,
        language=entry.language,
        consent_note=entry.consent_note,
        may_be_cloned=entry.may_be_cloned,
    )
    try:
        wav, _seconds = to_reference_wav(opened.read(entry.file), max_seconds=REFERENCE_SECONDS)
        reference.keep(wav)
    except BadAudio as error:
        raise NotImported([f"{entry.file}: {error.message}"]) from error
    stored.append(reference.file)
    _clean(reference, entry.name, exclude=["file"])
    return reference


def _character(entry: CharacterEntry, opened: BundleFile, incoming: _Incoming, stored: list[FieldFile]) -> Character:
    character = Character(
        name=entry.name,
        description=entry.description,
        enabled=entry.enabled,
        aliases=list(entry.aliases),
        provider=incoming.provider(entry),
        task_mode=entry.task_mode,
        model=entry.model,
        voice=entry.voice,
        prompt_text=entry.prompt_text,
        prompt_language=entry.prompt_language,
        language=entry.language,
        instruction=entry.instruction,
        speed=entry.speed,
        options=dict(entry.options),
    )
    if entry.avatar:
        try:
            image = avatar_image(opened.read(entry.avatar))
        except ValidationError as error:
            raise NotImported([f"{entry.avatar}: {reason}" for reason in error.messages]) from error
        character.avatar.save(image.name or "", image, save=False)
        stored.append(character.avatar)
    return character


@dataclass
class _Incoming:
    bundle: Bundle
    chosen: Chosen
    references: list[ReferenceAudio] = field(default_factory=list)
    characters: list[Character] = field(default_factory=list)

    def provider(self, entry: CharacterEntry) -> Provider:
        return self.chosen[self.bundle.providers[entry.provider]]

    def save(self, active: bool) -> Bank:
        for reference in self.references:
            reference.save()
        for entry, character in zip(self.bundle.characters, self.characters, strict=True):
            self._save_character(entry, character)
        for entry, character in zip(self.bundle.characters, self.characters, strict=True):
            if entry.fallback is not None:
                character.fallback = self.characters[entry.fallback]
                _clean(character, entry.name)
                character.save(update_fields=["fallback"])
        return self._save_bank(active)

    def _save_character(self, entry: CharacterEntry, character: Character) -> None:
        if entry.reference is not None:
            character.reference = self.references[entry.reference]
        named = self.bundle.providers[entry.provider]
        if named.kind != character.provider.kind:
            character.forget_what_is_not_read()
        _clean(character, entry.name, provider=named)
        character.save()

    def _save_bank(self, active: bool) -> Bank:
        default = self.bundle.default_character
        bank = Bank(
            name=free_name(Bank, self.bundle.name),
            description=self.bundle.description,
            active=active,
            position=last_position(Bank) + 1,
            default_character=None if default is None else self.characters[default],
        )
        _clean(bank, self.bundle.name)
        bank.save()
        members = [
            character for entry, character in zip(self.bundle.characters, self.characters, strict=True) if entry.member
        ]
        for position, character in enumerate(members):
            bank.memberships.create(character=character, position=position)
        self._save_rules(bank)
        return bank

    def _save_rules(self, bank: Bank) -> None:
        """In bulk, as there may be thousands; the bank that was saved makes servers look for them."""
        rows = [Pronunciation(bank=bank, **asdict(entry)) for entry in self.bundle.pronunciations]
        taken = set[tuple[str, str]]()
        for number, row in enumerate(rows):
            if reasons := problems(row, taken):
                raise NotImported([f"pronunciations[{number}]: {reason}" for reason in reasons])
            taken.add(row.key)
        Pronunciation.objects.bulk_create(rows)


def _clean(
    row: Bank | Character | ReferenceAudio,
    name: str,
    *,
    provider: ProviderEntry | None = None,
    exclude: list[str] | None = None,
) -> None:
    try:
        row.full_clean(exclude=exclude)
    except ValidationError as error:
        reasons = [
            _("“%(name)s”, %(field)s: %(reason)s") % {"name": name[:100], "field": key, "reason": reason}
            for key, found in error.message_dict.items()
            for reason in found
        ]
        raise NotImported(reasons, provider) from error
