from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from banks.models import Character, discard
from banks.storage import private_storage
from providers.context import request_id
from providers.errors import QueueCancelled, SpeechError
from providers.models import Provider
from providers.queue import Priority
from providers.speech import AudioFormat
from studio.cast import freeze, pronounced
from studio.files import TakeFile, quota_spent, remove, write
from studio.frozen import MadeWith, content_hash
from studio.models import leases
from studio.models.settings import MEGABYTE, StudioSettings

# What may wait or be spoken at once for one person in front of a page; batches are bounded by their projects.
MOST_OPEN = 20
# A take that the server died with so often is not begun again: it may be why.
MOST_ATTEMPTS = 5


class TakeState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


OPEN = (TakeState.QUEUED, TakeState.RUNNING)
PRIORITIES = [(Priority.INTERACTIVE.value, _("Interactive")), (Priority.BATCH.value, _("Batch"))]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a running take is to end: its state and what else its row says then."""

    take: Take
    state: TakeState
    values: Mapping[str, Any]

    @classmethod
    def done(cls, take: Take, name: str, made: TakeFile, **figures: Any) -> Self:
        """`name` is the file's, as `write` returned it; `figures`: `queue_ms`, `inference_ms`, `spoken_by`."""
        return cls(take, TakeState.DONE, {"file": name, **made.measures(), **figures})

    @classmethod
    def failed(cls, take: Take, error: SpeechError) -> Self:
        if isinstance(error, QueueCancelled):
            return cls(take, TakeState.CANCELLED, {})
        values = {"error_code": error.code, "error": error.message, "retry_helps": not error.permanent}
        return cls(take, TakeState.FAILED, values)


class TakeQuerySet(models.QuerySet["Take"]):
    def visible_to(self, user: Any) -> Self:
        """Everybody's own; a superuser's are all."""
        return self if user.is_superuser else self.filter(owner_id=user.pk)

    def audible_to(self, user: Any) -> Self:
        """The visible ones, and those of projects that this person sees."""
        if user.is_superuser:
            return self
        projects = _model("Project").objects.visible_to(user).values("pk")
        return self.filter(models.Q(owner_id=user.pk) | models.Q(project__in=projects))

    def open(self) -> Self:
        return self.filter(state__in=OPEN)

    def queued(self) -> Self:
        return self.filter(state=TakeState.QUEUED)

    def hurry(self) -> int:
        """Put what waits as part of a batch before all batches; how many that were."""
        return self.queued().filter(priority=Priority.BATCH).update(priority=Priority.INTERACTIVE)

    def expired(self, days: int) -> Self:
        """What retention discards; nothing where it never does. What a project's line plays stays."""
        if not days:
            return self.none()
        old = self.filter(kept=False, created_at__lt=timezone.now() - timedelta(days=days)).exclude(state__in=OPEN)
        return old.filter(lines_heard=None)

    def bytes_used(self) -> int:
        return self.aggregate(used=models.Sum("size"))["used"] or 0

    def require_room(self, user: Any) -> None:
        """ValidationError where this person can't ask for another take now."""
        waiting = self.filter(owner_id=user.pk, priority=Priority.INTERACTIVE, project=None).open().count()
        if waiting >= MOST_OPEN:
            text = _("%d of your takes are not spoken yet: wait for them, or cancel some.")
            raise ValidationError(text % MOST_OPEN)
        quota = StudioSettings.load().quota_mb
        if quota and bytes_used(user.pk) >= quota * MEGABYTE:
            raise ValidationError(quota_spent(quota).message)

    def claim(self, pks: Sequence[int], lease: timedelta | None = None) -> list[Take]:
        """Of these queued takes those that nobody else took or cancelled, now running and the caller's alone."""
        begun = leases.begun(lease)
        self.queued().filter(pk__in=pks).update(**begun, attempts=models.F("attempts") + 1)
        return list(self.filter(pk__in=pks, claim=begun["claim"]).select_related("owner").order_by("pk"))

    def lay_down(self, claims: Mapping[int, str], *, begun: bool) -> int:
        """Queue again what runs under these claims, by primary key; what was not `begun` counts as no attempt."""
        attempts = {} if begun else {"attempts": models.F("attempts") - 1}
        return leases.ours(self, claims).update(**leases.laid_down(), **attempts)

    def settle(self, endings: Sequence[Ending]) -> list[TakeState | None]:
        """Write how takes ended, in one transaction; the state of each, None where somebody else ended it before.

        What has no room in its owner's quota fails. Only a done take's file may stay.
        """
        with transaction.atomic():
            room = _Room()
            leases.lock_in_order(Take.objects.filter(pk__in=[ending.take.pk for ending in endings]))
            settled = [_written(room.fitting(ending)) for ending in endings]
            done = [one.take.pk for one, state in zip(endings, settled, strict=True) if state == TakeState.DONE]
            heard = _model("Line").objects.filter(attempt__in=done)
            leases.lock_in_order(heard)
            heard.update(take=models.F("attempt"))
        return settled

    def cancel(self) -> int:
        """End what is open; how many were. Whoever speaks one of them finds that it is no longer running."""
        with transaction.atomic():
            leases.lock_in_order(self.open())
            return self.open().update(state=TakeState.CANCELLED, finished_at=timezone.now())

    def put_back(self) -> int:
        """Queue again what a process left running that is gone; how many these are."""
        running = self.filter(state=TakeState.RUNNING)
        running.filter(attempts__gte=MOST_ATTEMPTS).update(
            state=TakeState.FAILED,
            error_code="interrupted",
            error=f"The server stopped {MOST_ATTEMPTS} times while this take was spoken.",
            retry_helps=True,
            finished_at=timezone.now(),
        )
        return running.update(**leases.laid_down())


def _model(name: str) -> Any:
    """One that refers to takes, and so is defined after them."""
    return Take._meta.apps.get_model("studio", name)


def bytes_used(user_id: int) -> int:
    """By all takes and exports of a person, but for videos."""
    exports = _model("Export").objects.filter(owner_id=user_id).sounds()
    exported: int = exports.aggregate(used=models.Sum("size"))["used"] or 0
    return exported + Take.objects.filter(owner_id=user_id).bytes_used()


class _Room:
    """What is left of the quotas of those whose takes end together."""

    def __init__(self) -> None:
        self._quota = StudioSettings.load().quota_mb
        self._used: dict[int, int] = {}

    def fitting(self, ending: Ending) -> Ending:
        """The ending, or a failure where its file has no room."""
        if ending.state != TakeState.DONE or not self._quota:
            return ending
        owner = ending.take.owner_id
        used = self._used.get(owner, -1)
        used = (bytes_used(owner) if used < 0 else used) + ending.values["size"]
        if used > self._quota * MEGABYTE:
            return Ending.failed(ending.take, quota_spent(self._quota))
        self._used[owner] = used
        return ending


def _written(ending: Ending) -> TakeState | None:
    take = ending.take
    running = Take.objects.filter(pk=take.pk, state=TakeState.RUNNING, claim=take.claim)
    changed = running.update(state=ending.state, finished_at=timezone.now(), **ending.values)
    return ending.state if changed == 1 else None


class Take(leases.Leased):
    """One attempt to speak one text: the only durable unit of work.

    queued -> running (`claim`) -> done or failed (`settle`); cancelled from queued and running; back from running to
    queued when whoever spoke it died. Each step is an update on the condition of the state before, so that only one of
    those who race for it takes it. What is done has a whole file. Trying again makes another take. `attempts` counts
    the claims: more than one where a server died in between.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="takes", verbose_name=_("owner")
    )
    text = models.TextField(_("text"))
    spoken = models.TextField(_("spoken text"), blank=True, help_text=_("After the pronunciation dictionary."))
    project = models.ForeignKey(
        "studio.Project", on_delete=models.SET_NULL, null=True, related_name="takes", verbose_name=_("project")
    )
    line = models.ForeignKey(
        "studio.Line", on_delete=models.SET_NULL, null=True, related_name="takes", verbose_name=_("line")
    )
    provider = models.ForeignKey(
        Provider, on_delete=models.SET_NULL, null=True, related_name="takes", verbose_name=_("provider")
    )
    priority = models.PositiveSmallIntegerField(_("priority"), choices=PRIORITIES, default=Priority.INTERACTIVE.value)
    content_hash = models.CharField(max_length=64, blank=True, editable=False)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0, editable=False)
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
    # Of the request that asked for it, for the log.
    request_id = models.CharField(max_length=40, blank=True, editable=False)
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
            models.Index(fields=["state", "priority", "provider", "id"], name="take_turns"),
            models.Index(fields=["project", "state", "finished_at"], name="take_of_project"),
            models.Index(fields=["project", "content_hash"], name="take_content"),
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

    @classmethod
    def ask(cls, owner: Any, text: str, made_with: MadeWith, format: str, *, spoken: str = "", **values: Any) -> Take:
        """A take to queue, not saved yet. `spoken` is the text as it is sent, where that is not `text`."""
        return cls(
            owner=owner,
            text=text,
            spoken="" if spoken == text else spoken,
            made_with_json=made_with.as_json(),
            format=format,
            provider_id=made_with.voice.provider_id,
            content_hash=content_hash(spoken or text, made_with, format),
            request_id=request_id(),
            **values,
        )

    def complete(self, made: TakeFile, **figures: Any) -> bool:
        """Store the file and end as done; False when that did not come to be, and then nothing is stored: somebody
        else ended it before, or the quota has no room, which it fails with. StorageError."""
        name = write(made)
        try:
            done = Take.objects.settle([Ending.done(self, name, made, **figures)]) == [TakeState.DONE]
        except BaseException:
            remove(name)
            raise
        if not done:
            remove(name)
        return done

    def fail(self, error: SpeechError) -> bool:
        return Take.objects.settle([Ending.failed(self, error)]) != [None]

    def again(self, owner: Any) -> Take:
        """Another attempt, with character and dictionary as they are now, or as they were where the character can't be
        asked any more."""
        was = self.made_with
        voice = freeze(self.character_id, was.voice.bank)
        spoken = self.spoken if voice is None or self.project_id else pronounced(self.text, voice)
        made_with = replace(was, voice=voice or was.voice)
        again = Take.ask(owner, self.text, made_with, self.format, spoken=spoken, character_id=self.character_id)
        again.save()
        return again


@receiver(post_delete, sender=Take)
def discard_file(sender: type[Take], instance: Take, **kwargs: Any) -> None:
    """However a take goes, with its owner too, its file goes with it."""
    discard(instance.file)
