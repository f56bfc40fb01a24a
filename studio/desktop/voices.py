"""Providers, recordings, characters and banks of the desktop application become ours. What is here already stays as it
is."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.admin.utils import label_for_field
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from banks.models import FORBIDDEN_IN_NAMES, Bank, Character, ReferenceAudio, free_name, unread_fields
from providers import adapters
from providers.models import Provider
from providers.order import last_position
from providers.speech import SPEED_MAX, SPEED_MIN, TaskMode
from studio.desktop.job import Job, reasons
from studio.desktop.known import BANKS, CHARACTERS, OWN_RECORDING, PROVIDERS, RECORDINGS
from studio.desktop.preparing import shared_recording
from studio.desktop.reading import BankRow, ProviderRow, RecordingRow, VoiceRow
from studio.desktop.report import Verdict, What
from studio.desktop.schema import DEFAULT_VOICES, EXAMPLE, KINDS, MODEL_IS_LANGUAGE, TASK_MODES

_NOT_IN_NAMES = str.maketrans(dict.fromkeys(FORBIDDEN_IN_NAMES, " "))


def bring_recordings(job: Job) -> None:
    """The library. A character's own recording comes with the character."""
    for row in job.contents.recordings:
        verdict = job.known.verdict(RECORDINGS, row.id)
        recording = job.prepared.recordings.get((RECORDINGS, row.id))
        if verdict is Verdict.NEW and recording is None:
            _miss(job, What.RECORDING, row.name, row.path)
        elif verdict is Verdict.NEW and recording is not None:
            _store(job, RECORDINGS, row, recording, transcript=row.transcript, language=row.language)
            job.report.add(What.RECORDING, row.name, verdict, _consent())
        else:
            job.report.add(What.RECORDING, row.name, verdict)


def bring_providers(job: Job) -> dict[str, Provider]:
    """By their ids there; those that are left out are not among them."""
    here = list(Provider.objects.present().defer("api_key"))
    used = _used_providers(job)
    found: dict[str, Provider] = {}
    for row in job.contents.providers:
        verdict = job.known.verdict(PROVIDERS, row.id)
        if verdict is Verdict.HERE:
            found[row.id] = Provider.objects.defer("api_key").get(pk=job.known.object_id(PROVIDERS, row.id))
        if verdict is not Verdict.NEW:
            job.report.add(What.PROVIDER, row.name, verdict, _archived(found.get(row.id)))
        elif row.id.startswith(EXAMPLE) and not row.enabled and row.id not in used:
            job.report.add(What.PROVIDER, row.name, Verdict.LEFT, _example())
        elif provider := _provider(job, row, here):
            found[row.id] = provider
    return found


def _used_providers(job: Job) -> set[str]:
    """Of voices that somebody made, or that speak a line."""
    spoken = {line.voice for project in job.contents.projects for line in project.lines}
    spoken |= {quick.voice for quick in job.contents.quick}
    return {one.provider for one in job.contents.voices if one.id in spoken or not one.id.startswith(EXAMPLE)}


def _provider(job: Job, row: ProviderRow, here: Iterable[Provider]) -> Provider | None:
    kind = KINDS.get(row.adapter, "")
    if kind not in adapters.kinds():
        text = _("There is no kind of provider here for “%s”.") % (row.adapter or "?")
        job.report.add(What.PROVIDER, row.name, Verdict.LEFT, text)
        return None
    for one in here:
        if (one.kind, one.name.casefold(), one.base_url) == (kind, row.name.casefold(), row.base_url):
            job.known.note(PROVIDERS, row.id, one)
            job.report.add(What.PROVIDER, row.name, Verdict.HERE, _("One of the same name, kind and address is used."))
            return one
    provider, notes = _new_provider(job, row, kind)
    try:
        provider.full_clean()
    except ValidationError as error:
        job.report.add(What.PROVIDER, row.name, Verdict.LEFT, reasons(error))
        return None
    provider.save()
    job.added(PROVIDERS, row.id, provider)
    job.report.add(What.PROVIDER, provider.name, Verdict.NEW, *notes)
    return provider


def _new_provider(job: Job, row: ProviderRow, kind: str) -> tuple[Provider, list[str]]:
    """Not saved, with what is to be said of it."""
    adapter = adapters.adapter_class(kind)
    capabilities = adapter.capabilities
    at_once = min(row.limits.get("max_concurrency", capabilities.default_concurrency), 64)
    provider = Provider(
        name=free_name(Provider, row.name),
        kind=kind,
        base_url=row.base_url[:500],
        api_key=row.api_key if job.options.with_keys else "",
        enabled=row.enabled,
        position=last_position(Provider) + 1,
        options={"model": row.model} if row.model and _has_model(kind) else {},
        **row.limits | {"max_concurrency": at_once},
    )
    notes = []
    if row.api_key and not job.options.with_keys:
        notes.append(_("Its key does not come along: enter it here."))
    if capabilities.needs_key and not provider.api_key:
        provider.enabled = False
        notes.append(_("Switched off, since it needs a key."))
    if unavailable := adapter.unavailable():
        provider.enabled = False
        notes.append(unavailable)
    return provider, notes


def _has_model(kind: str) -> bool:
    """Whether such a provider itself has a model for voices that name none."""
    return any(option.name == "model" for option in adapters.adapter_class(kind).capabilities.provider_options)


def bring_characters(job: Job, providers: dict[str, Provider]) -> dict[str, Character]:
    """By their ids there; those that are left out are not among them."""
    rows = {row.id: row for row in job.contents.providers}
    found: dict[str, Character] = {}
    for voice in job.contents.voices:
        verdict = job.known.verdict(CHARACTERS, voice.id)
        if verdict is Verdict.HERE:
            found[voice.id] = Character.objects.get(pk=job.known.object_id(CHARACTERS, voice.id))
        if verdict is not Verdict.NEW:
            here = found.get(voice.id)
            job.report.add(What.CHARACTER, voice.name, verdict, _archived(here), _late_recording(job, voice, here))
        elif voice.provider not in providers:
            job.report.add(What.CHARACTER, voice.name, Verdict.LEFT, _("Its provider is left out, or is not here."))
        else:
            character = _character(job, voice, rows[voice.provider], providers[voice.provider])
            if character is not None:
                found[voice.id] = character
    return found


def _character(job: Job, voice: VoiceRow, row: ProviderRow, provider: Provider) -> Character | None:
    character = _new_character(voice, row, provider)
    notes = []
    modes = provider.adapter_class.capabilities.task_modes
    if character.task_mode not in modes:
        character.task_mode = (TaskMode.PRESET if TaskMode.PRESET in modes else next(iter(modes))).value
        notes.append(_("Its way of speaking is not there with this provider: another is chosen."))
    if "reference" not in unread_fields(provider, character.task_mode):
        character.reference = _own_recording(job, voice)
        if voice.recording and character.reference is None:
            notes.append(_("Its recording was not taken: %s") % job.prepared.why_not(voice.recording))
    character.forget_what_is_not_read()
    try:
        character.full_clean()
    except ValidationError as error:
        if not set(error.message_dict) <= needed_fields(provider, character.task_mode):
            job.report.add(What.CHARACTER, voice.name, Verdict.LEFT, reasons(error))
            return None
        character.enabled = False
        lacking = ", ".join(str(label_for_field(name, Character)) for name in error.message_dict)
        notes.append(_("Switched off, since it lacks: %s. Enter that, then switch it on.") % lacking)
    character.save()
    job.added(CHARACTERS, voice.id, character)
    entry = job.report.add(What.CHARACTER, character.name, Verdict.NEW, *notes)
    if character.reference_id is None and voice.recording in job.prepared.missing:
        entry.missing.append(voice.recording)
    return character


def _late_recording(job: Job, voice: VoiceRow, character: Character | None) -> str:
    """One that was missing when the character came, and that has none since."""
    if character is None or character.reference_id is not None:
        return ""
    came_now = _recording_key(job, voice) in job.prepared.recordings
    if not came_now or "reference" in unread_fields(character.provider, character.task_mode):
        return ""
    character.reference = _own_recording(job, voice)
    character.prompt_text = character.prompt_text or voice.prompt_text
    character.save(update_fields=["reference", "prompt_text", "updated_at"])
    return _("Its recording is here now.") + ("" if character.enabled else " " + _("It can be switched on."))


def needed_fields(provider: Provider, task_mode: str) -> set[str]:
    """The fields that a character must have in this mode: one that lacks them can be kept, switched off."""
    return set(provider.adapter_class.capabilities.task_modes[TaskMode(task_mode)].required)


def _new_character(voice: VoiceRow, row: ProviderRow, provider: Provider) -> Character:
    mode = TASK_MODES.get(voice.task_mode, TaskMode.PRESET)
    speaks_language = row.adapter in MODEL_IS_LANGUAGE
    own_model = "" if _has_model(provider.kind) else row.model
    named = voice.voice or DEFAULT_VOICES.get(row.adapter, voice.name)
    return Character(
        name=" ".join(voice.name.translate(_NOT_IN_NAMES).split()) or voice.id[:100],
        description=voice.description,
        enabled=voice.enabled,
        provider=provider,
        task_mode=mode.value,
        model="" if speaks_language else voice.model or own_model,
        voice=named if mode is TaskMode.PRESET else voice.voice,
        prompt_text=voice.prompt_text,
        prompt_language=voice.prompt_language,
        language=voice.model[:35] if speaks_language else "",
        instruction=voice.instruction,
        speed=min(max(voice.speed or 1.0, SPEED_MIN), SPEED_MAX),
    )


def _recording_key(job: Job, voice: VoiceRow) -> tuple[str, str]:
    """Where a voice's recording is from."""
    shared = shared_recording(job.contents, job.known, voice)
    return (OWN_RECORDING, voice.id) if shared is None else (RECORDINGS, shared.id)


def _own_recording(job: Job, voice: VoiceRow) -> ReferenceAudio | None:
    table, id = _recording_key(job, voice)
    recording = job.prepared.recordings.get((table, id))
    if recording is not None:
        if recording.pk is None:
            _store(job, table, voice, recording, transcript=voice.prompt_text, language=voice.prompt_language)
            job.report.add(What.RECORDING, voice.name, Verdict.NEW, _consent())
        return recording
    if job.known.verdict(table, id) is Verdict.HERE:
        return ReferenceAudio.objects.get(pk=job.known.object_id(table, id))
    return None


def _store(
    job: Job, table: str, row: VoiceRow | RecordingRow, recording: ReferenceAudio, *, transcript: str, language: str
) -> None:
    recording.name, recording.transcript, recording.language = row.name, transcript, language
    recording.save()
    job.prepared.used.add(str(recording.file.name))
    job.added(table, row.id, recording)


def bring_banks(job: Job, characters: dict[str, Character]) -> dict[str, Bank]:
    """By their ids there. A bank that is here gets those of its characters that are new."""
    new = {entry_id for entry_id in characters if job.known.verdict(CHARACTERS, entry_id) is Verdict.NEW}
    found: dict[str, Bank] = {}
    for row in job.contents.banks:
        verdict = job.known.verdict(BANKS, row.id)
        members = [characters[id] for id in row.voices if id in characters]
        if verdict is Verdict.HERE:
            found[row.id] = Bank.objects.get(pk=job.known.object_id(BANKS, row.id))
            for id in row.voices:
                if id in new:
                    found[row.id].append(characters[id])
        if verdict is not Verdict.NEW:
            job.report.add(What.BANK, row.name, verdict, _archived(found.get(row.id)))
        elif row.id.startswith(EXAMPLE) and not members:
            job.report.add(What.BANK, row.name, Verdict.LEFT, _example())
        else:
            found[row.id] = _bank(job, row, members)
    return found


def _bank(job: Job, row: BankRow, members: list[Character]) -> Bank:
    bank = Bank(
        name=free_name(Bank, row.name), description=row.description, active=False, position=last_position(Bank) + 1
    )
    bank.save()
    for position, character in enumerate(members):
        bank.memberships.create(character=character, position=position)
    job.added(BANKS, row.id, bank)
    job.report.add(What.BANK, bank.name, Verdict.NEW, _("Switched off: switch it on when it is ready."))
    return bank


def _miss(job: Job, what: What, name: str, path: str) -> None:
    entry = job.report.add(what, name, Verdict.LEFT, job.prepared.why_not(path))
    if path in job.prepared.missing:
        entry.missing.append(path)


def _archived(row: Provider | Character | Bank | None) -> str:
    return _("It is archived here: restore it on its page.") if row is not None and row.archived_at else ""


def _example() -> str:
    return _("An example of the application's own that nobody has used.")


def _consent() -> str:
    return _("Say on its page whether the speaker agreed that the voice is cloned.")
