from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models.fields.files import FieldFile
from django.db.models.functions import Lower
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from banks.dictionary import Pronunciation
from banks.recordings import measure
from banks.storage import private_storage
from providers import adapters
from providers.archive import Archivable, ArchivableQuerySet
from providers.models import Provider
from providers.options import clean_options
from providers.speech import SPEED_MAX, SPEED_MIN, TaskMode

if TYPE_CHECKING:
    from providers.speech import TaskModeFields

__all__ = ["Bank", "CacheUse", "Character", "Membership", "Pronunciation", "ReferenceAudio"]

# Most clients send the voice in a comma-separated box and cannot write these.
FORBIDDEN_IN_NAMES = ",\n\r\t\x00"


def validate_speakable_name(value: str) -> None:
    if any(character in value for character in FORBIDDEN_IN_NAMES):
        raise ValidationError(_("Clients separate names by commas and lines: use neither."))


def new_public_id() -> str:
    return "voice_" + secrets.token_hex(8)


# What only some task modes of some providers read.
MODE_FIELDS = frozenset({"model", "voice", "reference", "prompt_text", "prompt_language", "language", "instruction"})


def unread_fields(provider: Provider, task_mode: str) -> frozenset[str]:
    """What the provider does not read in this task mode, so that it is not kept: an adapter would refuse it later."""
    modes = provider.adapter_class.capabilities.task_modes
    fields = modes.get(TaskMode(task_mode)) if task_mode in TaskMode else None
    return MODE_FIELDS - fields.required - fields.optional if fields else frozenset()


def free_name(model: type[Archivable], name: str) -> str:
    """The name itself, or with a number behind it where one of those that are not archived has it."""
    present: Any = model._default_manager.filter(archived_at=None)
    taken = {one.casefold() for one in present.values_list("name", flat=True)}
    number, wanted = 1, name
    while wanted.casefold() in taken:
        number += 1
        wanted = f"{name[:90]} ({number})"
    return wanted


def discard(file: FieldFile) -> None:
    """Remove a stored file once the change that forgets it is committed."""
    if file.name:
        # Where that fails, housekeeping finds the file later.
        transaction.on_commit(partial(file.storage.delete, file.name), robust=True)


class ReferenceAudio(models.Model):
    """A recording to clone from, kept as WAV under a name of ours."""

    name = models.CharField(_("name"), max_length=100)
    file = models.FileField(_("audio"), upload_to="references/", storage=private_storage, editable=False)
    transcript = models.TextField(_("transcript"), blank=True, help_text=_("What is said, word for word."))
    language = models.CharField(_("language"), max_length=35, blank=True, help_text=_("Such as en or zh-CN."))
    consent_note = models.TextField(
        _("consent"), blank=True, help_text=_("Who speaks, and when and how they agreed that their voice is cloned.")
    )
    may_be_cloned = models.BooleanField(_("may be cloned"), default=False)
    duration = models.FloatField(_("duration, seconds"), default=0, editable=False)
    peak = models.FloatField(_("peak, dBFS"), null=True, blank=True, editable=False)
    loudness = models.FloatField(_("loudness, dBFS"), null=True, blank=True, editable=False)
    clipped = models.BooleanField(_("clipped"), default=False, editable=False)
    waveform = models.JSONField(_("waveform"), default=list, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        ordering = ["name", "pk"]
        verbose_name = _("reference audio")
        verbose_name_plural = _("reference audio")

    def __str__(self) -> str:
        return self.name

    def keep(self, wav: bytes) -> None:
        """Write `wav`, as `to_reference_wav` makes it, to a file of its own in place of the one that is there.

        Call save() afterwards. BadAudio.
        """
        measured = measure(wav)
        discard(self.file)
        self.file.save(f"{secrets.token_hex(16)}.wav", ContentFile(wav), save=False)
        self.duration, self.waveform = measured.duration, measured.waveform
        self.peak, self.loudness, self.clipped = measured.peak, measured.loudness, measured.clipped

    @property
    def url(self) -> str:
        """Changes with the recording, so that browsers may keep it."""
        return reverse("reference", args=[self.pk]) + "?v=" + str(self.file.name)[-12:-4]

    def recording(self) -> bytes:
        """The WAV file. OSError where the disk has lost it."""
        with self.file.open("rb") as stored:
            content: bytes = stored.read()
        return content

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        discard(self.file)
        return super().delete(*args, **kwargs)


class Character(Archivable):
    """A voice with a name: the `voice` of the API."""

    name = models.CharField(_("name"), max_length=100, validators=[validate_speakable_name])
    description = models.TextField(_("description"), blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    aliases = models.JSONField(_("aliases"), default=list, blank=True)
    avatar = models.ImageField(_("avatar"), upload_to="avatars/", storage=private_storage, blank=True)
    provider = models.ForeignKey(
        Provider, on_delete=models.PROTECT, verbose_name=_("provider"), related_name="characters"
    )
    task_mode = models.CharField(
        _("task mode"),
        max_length=10,
        choices=[
            (TaskMode.PRESET.value, _("Preset: one of the provider's voices")),
            (TaskMode.CLONE.value, _("Clone: speaks like a recording")),
            (TaskMode.DESIGN.value, _("Design: a voice from a description")),
        ],
        default=TaskMode.PRESET.value,
    )
    model = models.CharField(_("model"), max_length=200, blank=True)
    voice = models.CharField(_("voice"), max_length=200, blank=True)
    reference = models.ForeignKey(
        ReferenceAudio,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        verbose_name=_("reference audio"),
        related_name="characters",
    )
    prompt_text = models.TextField(_("prompt text"), blank=True, help_text=_("What the reference audio says."))
    prompt_language = models.CharField(_("prompt language"), max_length=35, blank=True)
    language = models.CharField(_("text language"), max_length=35, blank=True)
    instruction = models.TextField(_("instruction"), blank=True)
    speed = models.FloatField(
        _("speed"), default=1.0, validators=[MinValueValidator(SPEED_MIN), MaxValueValidator(SPEED_MAX)]
    )
    fallback = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("fallback character"),
        help_text=_("Speaks instead while this one's provider is down; the answer's headers say so."),
    )
    options = models.JSONField(_("options"), default=dict, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    objects = ArchivableQuerySet["Character"].as_manager()

    class Meta:
        ordering = ["name", "pk"]
        verbose_name = _("character")
        verbose_name_plural = _("characters")

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        self.name = self.name.strip()
        self.aliases = clean_aliases(self.aliases)
        if self.fallback is not None and self.fallback.pk == self.pk:
            raise ValidationError({"fallback": _("A character can't be its own fallback.")})
        if self.provider_id is None or self.task_mode not in TaskMode:
            return  # the fields' own errors say so
        if self.provider.kind not in adapters.kinds():
            raise ValidationError({"provider": _("This provider's kind is not part of this version.")})
        capabilities = self.provider.adapter_class.capabilities
        fields = capabilities.task_modes.get(TaskMode(self.task_mode))
        if fields is None:
            allowed = ", ".join(capabilities.task_modes)
            raise ValidationError({"task_mode": _("This provider can only do: %s.") % allowed})
        self._require(fields)
        self.options = clean_options(capabilities.character_options, self.options)

    def forget_what_is_not_read(self) -> None:
        """Empty what another kind of provider left behind: fields and options that its own does not have."""
        for name in unread_fields(self.provider, self.task_mode):
            setattr(self, name, None if name == "reference" else "")
        declared = {option.name for option in self.provider.adapter_class.capabilities.character_options}
        self.options = {name: value for name, value in self.options.items() if name in declared}

    def show(self, picture: ContentFile[bytes] | None) -> None:
        """Take this picture, as `avatar_image` makes it, in place of the one that is there. Call save() afterwards."""
        discard(self.avatar)
        self.avatar = picture or ""

    def _require(self, fields: TaskModeFields) -> None:
        missing = [name for name in sorted(fields.required) if not (getattr(self, name) or self._told(name))]
        if missing:
            raise ValidationError({name: _("This task mode needs it.") for name in missing})

    def _told(self, name: str) -> str:
        """What the reference audio itself tells in place of an empty field."""
        if self.reference is None:
            return ""
        return {"prompt_text": self.reference.transcript, "prompt_language": self.reference.language}.get(name, "")

    def users(self) -> list[str]:
        return [_("bank “%s”") % membership.bank for membership in self.memberships.select_related("bank")]

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        discard(self.avatar)
        return super().delete(*args, **kwargs)


def clean_aliases(aliases: object) -> list[str]:
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise ValidationError({"aliases": _("Aliases are a list of names.")})
    cleaned = list(dict.fromkeys(alias.strip() for alias in aliases if alias.strip()))
    if len(cleaned) > 50 or any(len(alias) > 100 for alias in cleaned):
        raise ValidationError({"aliases": _("At most 50 aliases of at most 100 characters each.")})
    for alias in cleaned:
        try:
            validate_speakable_name(alias)
        except ValidationError as error:
            raise ValidationError({"aliases": error.messages}) from error
    return cleaned


class Bank(Archivable):
    """A set of characters; an active bank is a `model` of the API."""

    name = models.CharField(_("name"), max_length=100)
    description = models.TextField(_("description"), blank=True)
    active = models.BooleanField(_("active"), default=True, help_text=_("An active bank is a model of the API."))
    public = models.BooleanField(
        _("listed publicly"),
        default=False,
        help_text=_("Shown to clients without a key when the public lists are switched on."),
    )
    cache_speech = models.BooleanField(
        _("keep speech"),
        default=False,
        help_text=_("What the API has spoken is kept, and not bought again when the same is asked for."),
    )
    position = models.PositiveIntegerField(_("position"), default=0)
    characters = models.ManyToManyField(Character, through="Membership", related_name="banks")
    default_character = models.ForeignKey(
        Character,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("default character"),
        help_text=_("Answers OpenAI's own voice names (alloy, ash, …) that no character here has."),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    objects = ArchivableQuerySet["Bank"].as_manager()

    class Meta:
        ordering = ["position", "pk"]
        verbose_name = _("bank")
        verbose_name_plural = _("banks")
        constraints = [
            models.UniqueConstraint(Lower("name"), condition=models.Q(archived_at=None), name="bank_name_unique")
        ]

    def __str__(self) -> str:
        return self.name

    def append(self, character: Character) -> Membership:
        last = self.memberships.aggregate(last=models.Max("position"))["last"]
        return self.memberships.create(character=character, position=0 if last is None else last + 1)

    def users(self) -> list[str]:
        ApiKey = self._meta.apps.get_model("api", "ApiKey")
        keys = [_("API key “%s”") % key for key in ApiKey.objects.filter(banks=self)]
        members = [_("character “%s”") % membership.character for membership in self.memberships.all()]
        return keys + members


class CacheUse(models.Model):
    """How often a bank's kept speech was asked for: `hits` cost no call to a provider."""

    bank = models.OneToOneField(Bank, on_delete=models.CASCADE, related_name="cache_use", editable=False)
    hits = models.PositiveBigIntegerField(default=0)
    misses = models.PositiveBigIntegerField(default=0)

    class Meta:
        # A part of its bank: whoever may see that may see this.
        default_permissions = ()
        verbose_name = _("use of kept speech")
        verbose_name_plural = _("uses of kept speech")

    def __str__(self) -> str:
        return f"{self.bank}: {self.hits} / {self.hits + self.misses}"


class Membership(models.Model):
    """A character's place in a bank. `public_id` is its id in the API's voice lists."""

    bank = models.ForeignKey(Bank, on_delete=models.CASCADE, related_name="memberships", verbose_name=_("bank"))
    character = models.ForeignKey(
        Character, on_delete=models.CASCADE, related_name="memberships", verbose_name=_("character")
    )
    position = models.PositiveIntegerField(_("position"), default=0)
    public_id = models.CharField(max_length=40, unique=True, default=new_public_id, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["position", "pk"]
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [models.UniqueConstraint(fields=["bank", "character"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.character} / {self.bank}"

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """A bank's default character is one of its members."""
        Bank.objects.filter(pk=self.bank_id, default_character=self.character_id).update(default_character=None)
        return super().delete(*args, **kwargs)
