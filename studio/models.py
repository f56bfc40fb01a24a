from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from banks.models import Character, discard
from banks.storage import private_storage
from providers.errors import QueueCancelled, SpeechError
from providers.speech import AudioFormat
from studio.cast import freeze
from studio.files import TakeFile, quota_spent, write
from studio.frozen import MadeWith

MEGABYTE = 1024 * 1024
LONGEST_TEXT = 50_000
# What may wait or be spoken for one person at once.
MOST_OPEN = 20


class StudioSettings(models.Model):
    """One row (pk 1)."""

    retention_days = models.PositiveIntegerField(
        _("days that takes stay"),
        default=14,
        validators=[MaxValueValidator(36_500)],
        help_text=_("Older takes are discarded with their files, unless they are kept; 0 = never."),
    )
    quota_mb = models.PositiveIntegerField(
        _("quota per user, MB"),
        default=1000,
        help_text=_("What all takes of one user may take on the disk, kept or not; 0 = no limit."),
    )
    max_text_characters = models.PositiveIntegerField(
        _("longest text, characters"),
        default=5000,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_TEXT)],
        help_text=_("Of one take; at most 50,000."),
    )

    class Meta:
        verbose_name = _("studio settings")
        verbose_name_plural = _("studio settings")

    def __str__(self) -> str:
        return str(_("studio settings"))

    @classmethod
    def load(cls) -> StudioSettings:
        return cls.objects.get_or_create(pk=1)[0]


class TakeState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


OPEN = (TakeState.QUEUED, TakeState.RUNNING)


class TakeQuerySet(models.QuerySet["Take"]):
    def visible_to(self, user: Any) -> Self:
        """Everybody's own; a superuser's are all."""
        return self if user.is_superuser else self.filter(owner_id=user.pk)

    def open(self) -> Self:
        return self.filter(state__in=OPEN)

    def expired(self, days: int) -> Self:
        """What retention discards; nothing where it never does."""
        if not days:
            return self.none()
        return self.filter(kept=False, created_at__lt=timezone.now() - timedelta(days=days)).exclude(state__in=OPEN)

    def bytes_used(self) -> int:
        return self.aggregate(used=models.Sum("size"))["used"] or 0

    def require_room(self, user: Any) -> None:
        """ValidationError where this person can't ask for another take now."""
        own, quota = self.filter(owner_id=user.pk), StudioSettings.load().quota_mb
        if own.open().count() >= MOST_OPEN:
            text = _("%d of your takes are not spoken yet: wait for them, or cancel some.")
            raise ValidationError(text % MOST_OPEN)
        if quota and own.bytes_used() >= quota * MEGABYTE:
            raise ValidationError(quota_spent(quota).message)

    def claim(self, pk: int) -> Take | None:
        """The queued take, now running and the caller's alone; None when somebody else has it or it was cancelled."""
        now = timezone.now()
        claimed = self.filter(pk=pk, state=TakeState.QUEUED).update(state=TakeState.RUNNING, started_at=now)
        return self.select_related("owner").get(pk=pk) if claimed == 1 else None

    def cancel(self) -> int:
        """End what is open; how many were. Whoever speaks one of them finds that it is no longer running."""
        return self.open().update(state=TakeState.CANCELLED, finished_at=timezone.now())

    def interrupt(self) -> int:
        """Fail what is open, because nobody speaks it any more."""
        return self.open().update(
            state=TakeState.FAILED,
            error_code="interrupted",
            error="The server stopped before this take was spoken to its end.",
            retry_helps=True,
            finished_at=timezone.now(),
        )


class Take(models.Model):
    """One attempt to speak one text: the only durable unit of work.

    queued -> running (`claim`) -> done (`complete`) or failed (`fail`); cancelled from queued and running. Each step is
    an update on the condition of the state before, so that only one of those who race for it takes it. What is done
    has a whole file. Trying again makes another take.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="takes", verbose_name=_("owner")
    )
    text = models.TextField(_("text"))
    character = models.ForeignKey(
        Character, on_delete=models.SET_NULL, null=True, related_name="takes", verbose_name=_("character")
    )
    made_with_json = models.JSONField(_("made with"))
    format = models.CharField(_("format"), max_length=10, choices=[(each.value, each.value) for each in AudioFormat])
    state = models.CharField(_("state"), max_length=10, choices=TakeState, default=TakeState.QUEUED)
    file = models.FileField(_("file"), upload_to="takes/", storage=private_storage, blank=True, editable=False)
    size = models.PositiveBigIntegerField(_("size, bytes"), default=0)
    duration = models.FloatField(_("duration, seconds"), null=True)
    sample_rate = models.PositiveIntegerField(_("sample rate"), null=True)
    waveform = models.JSONField(_("waveform"), default=list)
    spoken_by = models.CharField(
        _("spoken by"), max_length=100, blank=True, help_text=_("The fallback that spoke in place of the character.")
    )
    error_code = models.CharField(_("error code"), max_length=60, blank=True)
    error = models.TextField(_("error"), blank=True)
    retry_helps = models.BooleanField(_("trying again can help"), default=False)
    queue_ms = models.PositiveIntegerField(_("waited, ms"), null=True)
    inference_ms = models.PositiveIntegerField(_("inference, ms"), null=True)
    kept = models.BooleanField(_("kept"), default=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    objects = TakeQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = _("take")
        verbose_name_plural = _("takes")
        indexes = [
            models.Index(fields=["owner", "-created_at", "-id"], name="take_of_owner"),
            models.Index(fields=["-created_at", "-id"], name="take_newest"),
            models.Index(fields=["owner", "size"], name="take_quota"),
            models.Index(fields=["owner", "character"], name="take_characters"),
            models.Index(fields=["state", "created_at"], name="take_state"),
            models.Index(fields=["kept", "created_at"], name="take_retention"),
            models.Index(fields=["file"], name="take_file"),
        ]
        constraints = [
            models.CheckConstraint(condition=~models.Q(state="done", file=""), name="take_done_has_file"),
        ]

    def __str__(self) -> str:
        return Truncator(self.text).chars(60)

    @cached_property
    def made_with(self) -> MadeWith:
        return MadeWith.read(self.made_with_json)

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of work for each second of sound."""
        if self.inference_ms is None or not self.duration:
            return None
        return self.inference_ms / 1000 / self.duration

    def complete(self, made: TakeFile, **figures: Any) -> bool:
        """Store the file and end as done; False when the take is not running any more, and then nothing is stored.

        `figures` are of the speaking: `queue_ms`, `inference_ms`, `spoken_by`. StorageError where the owner's quota or
        the disk has no room.
        """
        name = write(made)
        try:
            with transaction.atomic():
                self._require_room(made.size)
                done = self._end(TakeState.DONE, file=name, **made.measures(), **figures)
        except BaseException:
            private_storage().delete(name)
            raise
        if not done:
            private_storage().delete(name)
        return done

    def fail(self, error: SpeechError) -> bool:
        if isinstance(error, QueueCancelled):
            return self._end(TakeState.CANCELLED)
        return self._end(TakeState.FAILED, error_code=error.code, error=error.message, retry_helps=not error.permanent)

    def again(self, owner: Any) -> Take:
        """Another attempt, with the character as it is now, or as it was where it can't be asked any more."""
        was = self.made_with
        made_with = replace(was, voice=freeze(self.character_id, was.voice.bank) or was.voice)
        return Take.objects.create(
            owner=owner,
            text=self.text,
            character_id=self.character_id,
            made_with_json=made_with.as_json(),
            format=self.format,
        )

    def _require_room(self, size: int) -> None:
        quota = StudioSettings.load().quota_mb
        used = Take.objects.filter(owner=self.owner_id).bytes_used()
        if quota and used + size > quota * MEGABYTE:
            raise quota_spent(quota)

    def _end(self, state: TakeState, **values: Any) -> bool:
        running = Take.objects.filter(pk=self.pk, state=TakeState.RUNNING)
        return running.update(state=state, finished_at=timezone.now(), **values) == 1


@receiver(post_delete, sender=Take)
def discard_file(sender: type[Take], instance: Take, **kwargs: Any) -> None:
    """However a take goes, with its owner too, its file goes with it."""
    discard(instance.file)
