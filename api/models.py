from __future__ import annotations

import hashlib
import secrets

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from api.exposure import clean_origins, is_host, open_api_refusal
from api.jobs.models import Job as Job
from api.jobs.models import JobItem as JobItem
from banks.models import Bank
from providers.models import validate_time_zone


class Access(models.TextChoices):
    OPEN = "open", _("Open: anyone who reaches the server may speak")
    KEYS = "keys", _("Keys: every request needs an API key")


class ServerSettings(models.Model):
    """One row (pk 1): the runtime controls. Environment variables win over `host` and `port`."""

    host = models.CharField(
        _("bind host"), max_length=255, default="127.0.0.1", help_text=_("In force after a restart.")
    )
    port = models.PositiveIntegerField(
        _("port"),
        default=8976,
        validators=[MinValueValidator(1), MaxValueValidator(65535)],
        help_text=_("In force after a restart."),
    )
    api_enabled = models.BooleanField(_("API on"), default=True)
    access = models.CharField(_("access"), max_length=10, choices=Access, default=Access.OPEN)
    public_lists = models.BooleanField(
        _("public lists"),
        default=False,
        help_text=_("Lists of models and voices need no key; they show only banks that are listed publicly."),
    )
    cors_origins = models.TextField(
        _("CORS origins"),
        blank=True,
        help_text=_("One origin a line, such as https://chat.example.com; empty denies, * allows any."),
    )
    rate_limit_per_minute = models.PositiveIntegerField(
        _("requests per minute and address"), default=60, help_text=_("0 = no limit")
    )
    max_body_bytes = models.PositiveIntegerField(
        _("largest request body, bytes"), default=1_048_576, help_text=_("0 = no limit")
    )
    max_input_characters = models.PositiveIntegerField(
        _("longest input, characters"), default=50_000, validators=[MinValueValidator(1)]
    )
    queue_limit = models.PositiveIntegerField(
        _("waiting requests per provider"), default=1000, validators=[MinValueValidator(1)]
    )
    queue_deadline_seconds = models.PositiveIntegerField(
        _("longest wait in the queue, seconds"),
        default=25,
        validators=[MinValueValidator(1), MaxValueValidator(3600)],
        help_text=_("Clients such as Home Assistant give up after 30 seconds."),
    )
    log_requests = models.BooleanField(
        _("request log"), default=False, help_text=_("Metadata only: no text, no audio, no keys.")
    )
    log_keep_rows = models.PositiveIntegerField(
        _("log rows kept"), default=10_000, validators=[MinValueValidator(100), MaxValueValidator(1_000_000)]
    )
    speech_cache_megabytes = models.PositiveIntegerField(
        _("speech kept for banks, megabytes"),
        default=1000,
        validators=[MaxValueValidator(1_000_000)],
        help_text=_("For all banks that keep speech together; what was not used for longest goes first. 0 = none."),
    )
    seeded_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("server settings")
        verbose_name_plural = _("server settings")

    def __str__(self) -> str:
        return str(_("server settings"))

    def clean(self) -> None:
        self.host = self.host.strip()
        self.cors_origins = "\n".join(clean_origins(self.cors_origins))
        if not is_host(self.host):
            raise ValidationError({"host": _("Enter an IP address or a host name.")})
        # Access is in force at once, the host after a restart: neither may be open to the world.
        for host in filter(None, (settings.LISTENING_HOST, settings.BIND_HOST or self.host)):
            if refusal := open_api_refusal(host, self.access):
                raise ValidationError({"access": refusal})

    @classmethod
    def load(cls) -> ServerSettings:
        return cls.objects.get_or_create(pk=1)[0]


class KeyState(models.TextChoices):
    ACTIVE = "active", _("Active")
    REVOKED = "revoked", _("Revoked")
    EXPIRED = "expired", _("Expired")
    OWNER_INACTIVE = "owner_inactive", _("Owner deactivated")


class Scope(models.TextChoices):
    """What a key may reach beyond speech. Whatever it is, a key never has more rights than its owner."""

    SPEECH = "speech", _("Speech: speak, and list voices")
    READ = "read", _("Read: also look at what its owner may see, under /api/")
    MANAGE = "manage", _("Manage: also change what its owner may change, under /api/")
    METRICS = "metrics", _("Metrics: read /metrics, and nothing else")


KEY_PREFIX = "nei-"


def hash_key(key: str) -> str:
    """SHA-256 is enough here: keys carry 256 random bits, so there is nothing to guess."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class ApiKeyManager(models.Manager["ApiKey"]):
    def issue(self, *, name: str, owner_id: int | None = None, scope: Scope = Scope.SPEECH) -> tuple[ApiKey, str]:
        """A new key and its secret, which nothing can show again."""
        key = self.model(name=name, owner_id=owner_id, scope=scope)
        secret = key.draw_secret()
        key.save()
        return key, secret


class ApiKey(models.Model):
    name = models.CharField(_("name"), max_length=100)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(_("ends in"), max_length=8, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="api_keys",
        verbose_name=_("owner"),
        help_text=_("The key stops when its owner is deactivated."),
    )
    scope = models.CharField(
        _("scope"),
        max_length=10,
        choices=Scope,
        default=Scope.SPEECH,
        help_text=_("Under /api/ a key acts for its owner; without one it reaches nothing there."),
    )
    banks = models.ManyToManyField(
        Bank, blank=True, related_name="api_keys", verbose_name=_("banks"), help_text=_("None chosen: all banks.")
    )
    rate_limit_per_minute = models.PositiveIntegerField(
        _("requests per minute"),
        null=True,
        blank=True,
        help_text=_("Holds for this key in place of the limit per address; 0 = no limit, empty = that limit."),
    )
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    objects = ApiKeyManager()

    # Only on the instance that drew it, until that instance is gone; never a column.
    secret = ""

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")

    def __str__(self) -> str:
        return self.name

    def save(self, *args: object, **kwargs: object) -> None:
        # A key that speaks: watching the server closes nothing.
        speaks = self.scope != Scope.METRICS
        first = self._state.adding and speaks and not ApiKey.objects.exclude(scope=Scope.METRICS).exists()
        super().save(*args, **kwargs)  # type: ignore[arg-type]
        if first:
            require_keys()

    def clean(self) -> None:
        if self.scope == Scope.METRICS and self.owner is not None and not self.owner.is_superuser:
            text = _("Metrics are for administrators: choose one as the owner, or none.")
            raise ValidationError({"scope": text})

    def draw_secret(self) -> str:
        """A fresh secret for a key that is not saved yet; only its hash and its last characters stay here."""
        self.secret = KEY_PREFIX + secrets.token_urlsafe(32)
        self.digest, self.hint = hash_key(self.secret), self.secret[-4:]
        return self.secret

    @property
    def state(self) -> KeyState:
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return KeyState.EXPIRED
        return KeyState.ACTIVE if self.owner is None or self.owner.is_active else KeyState.OWNER_INACTIVE

    def revoke(self) -> None:
        self.revoked_at = timezone.now()
        self.save(update_fields=["revoked_at"])


def require_keys() -> None:
    """The first key closes the API for everybody else; losing the last one never opens it again."""
    current = ServerSettings.load()
    if current.access != Access.KEYS:
        current.access = Access.KEYS
        current.save(update_fields=["access"])


class RequestLog(models.Model):
    """One API request: metadata only."""

    at = models.DateTimeField(_("time"), db_index=True)
    request_id = models.CharField(_("request id"), max_length=40)
    method = models.CharField(_("method"), max_length=10)
    path = models.CharField(_("path"), max_length=200)
    status = models.PositiveSmallIntegerField(_("status"), db_index=True)
    error_code = models.CharField(_("error"), max_length=60, blank=True)
    address = models.CharField(_("address"), max_length=45, blank=True)
    key_name = models.CharField(_("API key"), max_length=100, blank=True)
    bank = models.CharField(_("bank"), max_length=100, blank=True)
    character = models.CharField(_("character"), max_length=100, blank=True)
    provider = models.CharField(_("provider"), max_length=100, blank=True)
    characters = models.PositiveIntegerField(_("characters of text"), default=0)
    audio_format = models.CharField(_("format"), max_length=10, blank=True)
    queue_ms = models.PositiveIntegerField(_("waited, ms"), default=0)
    model_preset = models.CharField(_("model preset"), max_length=100, blank=True)
    inference_ms = models.PositiveIntegerField(_("inference, ms"), null=True, blank=True)
    audio_ms = models.PositiveIntegerField(_("audio, ms"), null=True, blank=True)
    upstream = models.CharField(
        _("the backend says"), max_length=500, blank=True, help_text=_("Headers of its answer; never a path of its.")
    )
    first_byte_ms = models.PositiveIntegerField(_("first byte, ms"), default=0)
    total_ms = models.PositiveIntegerField(_("total, ms"), default=0)
    cache = models.CharField(_("kept speech"), max_length=6, blank=True)
    bytes_sent = models.PositiveBigIntegerField(_("bytes sent"), default=0)
    complete = models.BooleanField(_("complete"), default=True)

    class Meta:
        ordering = ["-at", "-pk"]
        verbose_name = _("request")
        verbose_name_plural = _("request log")

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


class Preferences(models.Model):
    """How one person wants the pages; the API knows none."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="preferences", editable=False
    )
    language = models.CharField(
        _("language"), max_length=20, blank=True, choices=settings.LANGUAGES, help_text=_("Empty: as the browser asks.")
    )
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        blank=True,
        validators=[validate_time_zone],
        help_text=_("Empty: as the browser says."),
    )

    class Meta:
        verbose_name = _("preferences")
        verbose_name_plural = _("preferences")

    def __str__(self) -> str:
        return str(_("preferences"))
