from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Case, Count, F, Q, Sum, Value, When
from django.db.models.functions import Lower
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.utils import timezone
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from banks.dictionary import PronunciationRule
from banks.models import Bank, Character, discard
from banks.storage import private_storage
from providers.speech import SPEED_MAX, SPEED_MIN, AudioFormat
from studio.models.takes import OPEN, Take, TakeState

# Lines of one project, and characters of one line.
MOST_LINES = 50_000
LONGEST_LINE = 5_000


class ProjectQuerySet(models.QuerySet["Project"]):
    def visible_to(self, user: Any) -> Self:
        """What somebody owns or is a member of; a superuser's are all."""
        if user.is_superuser:
            return self
        # A subquery, since joined members would list a project once for each of them.
        joined = Project.members.through._default_manager.filter(user_id=user.pk).values("project")
        return self.filter(Q(owner_id=user.pk) | Q(pk__in=joined))


class Project(models.Model):
    """Lines to speak, in order. `kind` is a name in studio.kinds: what of pages and import differs between projects."""

    name = models.CharField(_("name"), max_length=100)
    kind = models.CharField(_("kind"), max_length=20)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="projects", verbose_name=_("owner")
    )
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL, blank=True, related_name="shared_projects", verbose_name=_("members")
    )
    bank = models.ForeignKey(
        Bank, on_delete=models.SET_NULL, null=True, blank=True, related_name="projects", verbose_name=_("bank")
    )
    language = models.CharField(
        _("language"),
        max_length=35,
        blank=True,
        help_text=_("Of the text, such as en or zh-CN; for cutting sentences."),
    )
    format = models.CharField(
        _("format"),
        max_length=10,
        choices=[(each.value, each.value.upper()) for each in AudioFormat if each is not AudioFormat.PCM],
        default=AudioFormat.FLAC.value,
        help_text=_("Of each line's audio. FLAC and WAV lose nothing when lines are merged."),
    )
    reuse = models.BooleanField(
        _("reuse audio"),
        default=False,
        help_text=_("A line that is spoken like one that is there already takes its audio instead of a new take."),
    )
    author = models.CharField(_("author"), max_length=200, blank=True, help_text=_("Named in exported files."))
    cover = models.ImageField(_("cover"), upload_to="covers/", storage=private_storage, blank=True, editable=False)
    fingerprint = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    changed_at = models.DateTimeField(_("changed at"), default=timezone.now, editable=False)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ["-changed_at", "-pk"]
        verbose_name = _("project")
        verbose_name_plural = _("projects")
        indexes = [models.Index(fields=["owner", "-changed_at"], name="project_of_owner")]

    def __str__(self) -> str:
        return self.name

    def is_managed_by(self, user: Any) -> bool:
        """Whether this person may delete it and choose its people."""
        return bool(user.is_superuser or user.pk == self.owner_id)

    def show(self, picture: ContentFile[bytes] | None) -> None:
        """Take this cover, as `cover_image` makes it, in place of the one that is there. Call save() afterwards."""
        discard(self.cover)
        self.cover = picture or ""

    def touch(self) -> None:
        Project.objects.filter(pk=self.pk).update(changed_at=timezone.now())


@receiver(post_delete, sender=Project)
def discard_cover(sender: type[Project], instance: Project, **kwargs: Any) -> None:
    discard(instance.cover)


class LineState(models.TextChoices):
    """What a line shows. An earlier take may still be heard while a new one is made, or after one failed."""

    MISSING = "missing", _("Missing")
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    FAILED = "failed", _("Failed")
    STALE = "stale", _("Stale")
    DONE = "done", _("Done")


def _state() -> Case:
    return Case(
        When(attempt__state__in=OPEN, then=F("attempt__state")),
        When(attempt__state=TakeState.FAILED, then=Value(LineState.FAILED.value)),
        When(take=None, then=Value(LineState.MISSING.value)),
        When(take__content_hash=F("wanted"), then=Value(LineState.DONE.value)),
        default=Value(LineState.STALE.value),
        output_field=models.CharField(),
    )


class LineQuerySet(models.QuerySet["Line"]):
    def visible_to(self, user: Any) -> Self:
        return self if user.is_superuser else self.filter(project__in=Project.objects.visible_to(user))

    def with_state(self) -> Self:
        """Annotates `state`."""
        return self.annotate(state=_state())

    def in_state(self, states: Iterable[LineState]) -> Self:
        return self.with_state().filter(state__in=list(states))

    def counts(self) -> dict[str, int]:
        """How many lines are in each state; a state of none is left out."""
        return dict(self.order_by().annotate(counted=_state()).values_list("counted").annotate(count=Count("pk")))

    def measures(self) -> dict[str, tuple[int, float]]:
        """Of each state that there is: how many lines are in it, and the seconds of their audio."""
        stated = self.order_by().annotate(counted=_state()).values_list("counted")
        found = stated.annotate(count=Count("pk"), seconds=Sum("take__duration"))
        return {state: (count, seconds or 0.0) for state, count, seconds in found}

    def shown(self) -> Self:
        """With all that a row of a page reads."""
        return self.with_state().select_related("character", "take", "attempt")


class Line(models.Model):
    """A piece of text with a character and a place in a project.

    `take` is the audio that counts, `attempt` the latest take that was asked for: the same once that is done. Takes
    may serve several lines, where a project reuses audio. `wanted` is the content hash that a current take has (see
    studio.freshness), empty where nobody can speak the line. `revision` grows with each edit. `start_ms` and `end_ms`
    are a subtitle cue's times.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="lines", verbose_name=_("project"))
    position = models.BigIntegerField(_("position"))
    text = models.TextField(_("text"))
    speaker = models.CharField(_("speaker"), max_length=100, blank=True, help_text=_("As the script names them."))
    character = models.ForeignKey(
        Character, on_delete=models.SET_NULL, null=True, blank=True, related_name="lines", verbose_name=_("character")
    )
    instruction = models.CharField(_("instruction"), max_length=2000, blank=True)
    speed = models.FloatField(
        _("speed"), default=1.0, validators=[MinValueValidator(SPEED_MIN), MaxValueValidator(SPEED_MAX)]
    )
    chapter = models.CharField(
        _("chapter"), max_length=200, blank=True, help_text=_("The title of the chapter that begins with this line.")
    )
    start_ms = models.PositiveIntegerField(_("start, milliseconds"), null=True, blank=True)
    end_ms = models.PositiveIntegerField(_("end, milliseconds"), null=True, blank=True)
    wanted = models.CharField(max_length=64, blank=True, editable=False)
    revision = models.PositiveIntegerField(default=0, editable=False)
    take = models.ForeignKey(
        Take, on_delete=models.SET_NULL, null=True, related_name="lines_heard", verbose_name=_("take"), editable=False
    )
    attempt = models.ForeignKey(
        Take,
        on_delete=models.SET_NULL,
        null=True,
        related_name="lines_asking",
        verbose_name=_("attempt"),
        editable=False,
    )

    objects = LineQuerySet.as_manager()

    # On those that were read `with_state`.
    state: LineState

    class Meta:
        ordering = ["position", "pk"]
        verbose_name = _("line")
        verbose_name_plural = _("lines")
        indexes = [models.Index(fields=["project", "position", "id"], name="line_order")]
        constraints = [
            models.CheckConstraint(
                condition=Q(start_ms=None, end_ms=None) | Q(start_ms__lt=F("end_ms")), name="line_ends_after_start"
            ),
        ]

    def __str__(self) -> str:
        return Truncator(self.text).chars(60)


class CastEntry(models.Model):
    """Who speaks for a name of the script, remembered so that it is asked once."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="cast", verbose_name=_("project"))
    speaker = models.CharField(_("speaker"), max_length=100, blank=True)
    character = models.ForeignKey(Character, on_delete=models.CASCADE, related_name="+", verbose_name=_("character"))

    class Meta:
        ordering = ["speaker"]
        verbose_name = _("cast entry")
        verbose_name_plural = _("cast entries")
        constraints = [models.UniqueConstraint(fields=["project", "speaker"], name="cast_once")]

    def __str__(self) -> str:
        return f"{self.speaker} / {self.character}"


class ProjectPronunciation(PronunciationRule):
    """Goes before the rules of the bank and those for everybody."""

    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="pronunciations", verbose_name=_("project")
    )

    class Meta(PronunciationRule.Meta):
        abstract = False
        verbose_name = _("pronunciation of a project")
        verbose_name_plural = _("pronunciations of projects")
        constraints = [
            models.UniqueConstraint(
                "project",
                "written",
                Lower("language"),
                name="project_pronunciation_once",
                violation_error_message=_("There is a rule for this already."),
            )
        ]

    def siblings(self) -> models.QuerySet[Any]:
        return ProjectPronunciation.objects.filter(project=self.project)
