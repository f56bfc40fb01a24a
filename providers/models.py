from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from providers import adapters
from providers.adapters.base import Adapter
from providers.archive import Archivable, ArchivableQuerySet
from providers.audit import AuditEntry as AuditEntry
from providers.chat import AnswerFormat
from providers.egress import AddressRefused, check_host
from providers.errors import ProviderUnavailable
from providers.fields import EncryptedTextField, SecretUnreadable
from providers.options import clean_options, with_defaults
from providers.speech import ProviderConfig
from providers.versions import current_version


class ConfigurationVersion(models.Model):
    """One row whose number rises with every change of configuration; see `providers.versions`."""

    number = models.PositiveBigIntegerField(default=1)

    def __str__(self) -> str:
        return str(self.number)


def validate_base_url(value: str) -> None:
    """An http or https address without credentials; host names without a dot are fine (containers, LAN)."""
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise ValidationError(_("This is not an address: %s.") % error) from error
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f]", value):
        raise ValidationError(_("Enter an address that starts with http:// or https://."))
    if parts.username is not None:
        raise ValidationError(_("Put the key into its own field, not into the address."))
    try:
        # The address of a name is checked when it is called.
        check_host(host)
    except AddressRefused as error:
        raise ValidationError(_("This address leads to %s, where no provider may be.") % error.reason) from error


def validate_time_zone(value: str) -> None:
    if value not in available_timezones():
        raise ValidationError(_("“%s” is not a time zone; write it like Europe/Berlin or UTC.") % value)


class Provider(Archivable):
    """A configured upstream."""

    name = models.CharField(_("name"), max_length=100)
    kind = models.CharField(_("kind"), max_length=40)
    base_url = models.CharField(_("base URL"), max_length=500, blank=True)
    api_key = EncryptedTextField(_("API key"), blank=True, editable=False)
    enabled = models.BooleanField(_("enabled"), default=True)
    position = models.PositiveIntegerField(_("position"), default=0)
    max_concurrency = models.PositiveSmallIntegerField(
        _("requests at once"), default=4, validators=[MinValueValidator(1), MaxValueValidator(64)]
    )
    requests_per_minute = models.PositiveIntegerField(_("requests per minute"), default=0, help_text=_("0 = no limit"))
    tokens_per_minute = models.PositiveIntegerField(_("tokens per minute"), default=0, help_text=_("0 = no limit"))
    requests_per_day = models.PositiveIntegerField(_("requests per day"), default=0, help_text=_("0 = no limit"))
    tokens_per_day = models.PositiveIntegerField(_("tokens per day"), default=0, help_text=_("0 = no limit"))
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        default="UTC",
        validators=[validate_time_zone],
        help_text=_("A day of the limits above begins at midnight here, such as America/Los_Angeles."),
    )
    timeout_seconds = models.PositiveIntegerField(
        _("time limit for one call, seconds"), default=120, validators=[MinValueValidator(1), MaxValueValidator(3600)]
    )
    piece_characters = models.PositiveIntegerField(
        _("characters per call"),
        default=0,
        validators=[MaxValueValidator(100_000)],
        help_text=_("Longer text is spoken in pieces of at most this length; 0 = as the kind suggests."),
    )
    options = models.JSONField(_("options"), default=dict, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    objects = ArchivableQuerySet["Provider"].as_manager()

    class Meta:
        ordering = ["position", "pk"]
        verbose_name = _("provider")
        verbose_name_plural = _("providers")
        constraints = [
            models.UniqueConstraint(Lower("name"), condition=models.Q(archived_at=None), name="provider_name_unique")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def adapter_class(self) -> type[Adapter]:
        return adapters.adapter_class(self.kind)

    def clean(self) -> None:
        if self.kind not in adapters.kinds():
            raise ValidationError({"kind": _("Unknown provider kind.")})
        capabilities = self.adapter_class.capabilities
        if self.base_url:
            self.base_url = self.base_url.strip()
            try:
                validate_base_url(self.base_url)
            except ValidationError as error:
                raise ValidationError({"base_url": error.messages}) from error
        elif capabilities.needs_base_url:
            raise ValidationError({"base_url": _("This kind of provider needs an address.")})
        self.options = clean_options(capabilities.provider_options, self.options)

    def users(self) -> list[str]:
        characters = self._meta.apps.get_model("banks", "Character").objects.filter(provider=self)
        return [_("character “%s”") % character for character in characters]

    def config(self) -> ProviderConfig:
        """The frozen values. A key that can't be decrypted makes this provider unusable, and no other."""
        key, problem = "", ""
        try:
            key = self.api_key
        except SecretUnreadable:
            problem = f"The key of provider “{self.name}” can't be decrypted any more: enter it again."
        return ProviderConfig(
            id=self.pk,
            name=self.name,
            kind=self.kind,
            base_url=self.base_url,
            key=key,
            problem=problem,
            version=current_version(),
            timeout=float(self.timeout_seconds),
            max_concurrency=self.max_concurrency,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            requests_per_day=self.requests_per_day,
            tokens_per_day=self.tokens_per_day,
            time_zone=self.time_zone,
            piece_characters=self.piece_characters,
            options=with_defaults(self.adapter_class.capabilities.provider_options, self.options),
        )


class ChatModelManager(models.Manager["ChatModel"]):
    """Leaves the key where it is, so that nothing but `ChatModel.setup` reads it, or fails on it."""

    def get_queryset(self) -> models.QuerySet[ChatModel]:
        return super().get_queryset().defer("api_key")


@dataclass(frozen=True, slots=True)
class ChatSetup:
    """The chat model as plain, frozen values. `config.problem` says why it can't be asked."""

    config: ProviderConfig
    model: str
    format: AnswerFormat
    window_characters: int


class ChatModel(models.Model):
    """The one chat model that reads texts for the studio (pk 1)."""

    # Of its use in the ledger, where no provider has it.
    USAGE_ID = 0

    enabled = models.BooleanField(
        _("enabled"),
        default=False,
        help_text=_("Off: nothing more is sent, and what is under way ends at its next request."),
    )
    base_url = models.CharField(
        _("base URL"),
        max_length=500,
        blank=True,
        help_text=_("Of an OpenAI-compatible API, such as https://api.openai.com/v1 or http://127.0.0.1:11434/v1."),
    )
    model = models.CharField(_("model"), max_length=200, blank=True, help_text=_("As the server calls it."))
    api_key = EncryptedTextField(_("API key"), blank=True, editable=False)
    answer_format = models.CharField(
        _("JSON mode"),
        max_length=20,
        choices=[
            (AnswerFormat.OBJECT.value, _("JSON object")),
            (AnswerFormat.SCHEMA.value, _("JSON by a schema")),
            (AnswerFormat.TEXT.value, _("None: ask for JSON in words")),
        ],
        default=AnswerFormat.OBJECT.value,
        help_text=_("A server that refuses it is asked once more without, and then always."),
    )
    json_refused = models.BooleanField(default=False, editable=False)
    window_characters = models.PositiveIntegerField(
        _("characters per request"),
        default=6000,
        validators=[MinValueValidator(500), MaxValueValidator(100_000)],
        help_text=_("A long text is sent in parts of about this size, each with what stands around it."),
    )
    max_concurrency = models.PositiveSmallIntegerField(
        _("requests at once"), default=2, validators=[MinValueValidator(1), MaxValueValidator(16)]
    )
    requests_per_minute = models.PositiveIntegerField(_("requests per minute"), default=0, help_text=_("0 = no limit"))
    requests_per_day = models.PositiveIntegerField(_("requests per day"), default=0, help_text=_("0 = no limit"))
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        default="UTC",
        validators=[validate_time_zone],
        help_text=_("A day of the limits above begins at midnight here, such as America/Los_Angeles."),
    )
    timeout_seconds = models.PositiveIntegerField(
        _("time limit for one call, seconds"), default=120, validators=[MinValueValidator(1), MaxValueValidator(3600)]
    )
    checked_at = models.DateTimeField(_("checked"), null=True, editable=False)
    latency_ms = models.PositiveIntegerField(_("latency, ms"), default=0, editable=False)
    problem = models.CharField(_("problem"), max_length=500, blank=True, editable=False)

    objects = ChatModelManager()

    class Meta:
        verbose_name = _("chat model")
        verbose_name_plural = _("chat model")

    def __str__(self) -> str:
        return str(_("chat model"))

    @classmethod
    def load(cls) -> ChatModel:
        return cls.objects.get_or_create(pk=1)[0]

    @classmethod
    def ready(cls, destination: str) -> ChatSetup:
        """For sending a text there. ProviderUnavailable where that is not wanted any more, or would go elsewhere."""
        row = cls.load()
        if not row.is_ready:
            raise ProviderUnavailable("The chat model was switched off.")
        if row.destination != destination:
            raise ProviderUnavailable("The chat model's address was changed: ask anew to send the text there.")
        return row.setup()

    @property
    def destination(self) -> str:
        """Where a text goes, for those who send it: scheme, host and port."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def is_ready(self) -> bool:
        return bool(self.enabled and self.base_url and self.model)

    def clean(self) -> None:
        self.base_url = self.base_url.strip()
        if self.base_url:
            try:
                validate_base_url(self.base_url)
            except ValidationError as error:
                raise ValidationError({"base_url": error.messages}) from error
        lacking = [name for name in ("base_url", "model") if not getattr(self, name)]
        if self.enabled and lacking:
            raise ValidationError({name: _("Without it nothing can be asked: enter it first.") for name in lacking})

    def forget_what_was_learned(self) -> None:
        """After it became another server or model."""
        self.json_refused, self.checked_at, self.problem = False, None, ""

    def setup(self) -> ChatSetup:
        """The frozen values, whether or not it is enabled."""
        key, problem = "", ""
        try:
            key = self.api_key
        except SecretUnreadable:
            problem = "The key of the chat model can't be decrypted any more: an administrator has to enter it again."
        if not (self.base_url and self.model):
            problem = "The chat model has no address or no name yet: an administrator has to enter it."
        config = ProviderConfig(
            id=self.USAGE_ID,
            name="The chat model",
            kind="chat",
            base_url=self.base_url,
            key=key,
            problem=problem,
            timeout=float(self.timeout_seconds),
            max_concurrency=self.max_concurrency,
            requests_per_minute=self.requests_per_minute,
            requests_per_day=self.requests_per_day,
            time_zone=self.time_zone,
        )
        format = AnswerFormat.TEXT if self.json_refused else AnswerFormat(self.answer_format)
        return ChatSetup(config, self.model, format, self.window_characters)


class UsageMinute(models.Model):
    """What a provider was asked for in one minute, so that limits survive a restart."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, db_constraint=False, related_name="usage")
    minute = models.DateTimeField(db_index=True)
    requests = models.PositiveIntegerField(default=0)
    tokens = models.PositiveBigIntegerField(default=0)
    characters = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "minute"], name="usage_minute_once")]

    def __str__(self) -> str:
        return f"{self.provider_id} {self.minute:%Y-%m-%d %H:%M}: {self.requests}"


class HealthReport(models.Model):
    """What the last check of a provider found. Not part of the configuration, so it raises no version."""

    provider = models.OneToOneField(Provider, on_delete=models.CASCADE, related_name="health")
    checked_at = models.DateTimeField(_("checked at"))
    latency_ms = models.PositiveIntegerField(_("latency, ms"), default=0)
    reachable = models.BooleanField(_("reachable"), default=False)
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    key_accepted = models.BooleanField(_("key accepted"), null=True)
    right_kind = models.BooleanField(_("right kind"), null=True)
    model_loaded = models.BooleanField(_("model loaded"), null=True)
    admin_url = models.URLField(_("backend's own pages"), max_length=500, blank=True)

    def __str__(self) -> str:
        return self.reason or str(_("healthy"))

    @property
    def healthy(self) -> bool:
        return self.reachable and not self.reason


class CatalogueEntry(models.Model):
    """Something that a provider listed, or that somebody entered by hand."""

    external_id = models.CharField(_("id"), max_length=200)
    name = models.CharField(_("name"), max_length=200, blank=True)
    by_hand = models.BooleanField(_("entered by hand"), default=False)
    vanished_at = models.DateTimeField(_("vanished at"), null=True, blank=True, editable=False)

    class Meta:
        abstract = True
        ordering = ["external_id"]

    def __str__(self) -> str:
        return self.name or self.external_id


class CatalogueModel(CatalogueEntry):
    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="catalogue_models")

    class Meta(CatalogueEntry.Meta):
        constraints = [models.UniqueConstraint(fields=["provider", "external_id"], name="catalogue_model_once")]


class CatalogueVoice(CatalogueEntry):
    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="catalogue_voices")
    language = models.CharField(_("language"), max_length=100, blank=True)
    gender = models.CharField(_("gender"), max_length=20, blank=True)
    description = models.TextField(_("description"), blank=True)
    styles = models.JSONField(_("styles"), default=list, blank=True)
    model = models.CharField(_("model"), max_length=200, blank=True)
    task_mode = models.CharField(_("task mode"), max_length=10, blank=True)

    class Meta(CatalogueEntry.Meta):
        constraints = [models.UniqueConstraint(fields=["provider", "external_id"], name="catalogue_voice_once")]
