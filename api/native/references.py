"""Reference audio: recordings to clone from, sent as multipart forms."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from api.native.characters import visible_characters, visible_references
from api.native.fields import Line
from api.native.filters import FlagFilter, Ordering, SearchQuery, TextFilter
from api.native.parsers import StrictJSONParser
from api.native.permissions import allowed_banks
from api.native.serializers import StrictBody, refuse_unknown
from api.native.views import RowViewSet
from api.serializers import StrictBoolean, StrictNumber, StrictText
from banks.models import ReferenceAudio
from banks.recording_forms import ReferenceAudioForm, TrimForm
from providers.audit import Change, changed
from providers.errors import BadAudio

# A transcript of ten minutes is a tenth of it.
TEXT_CHARACTERS = 100_000


class FormFlag(serializers.BooleanField):
    """True or false; in a form, as a word."""

    def to_internal_value(self, data: Any) -> bool:
        if data not in (True, False, "true", "false") or isinstance(data, (int, float)) and not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data in (True, "true")


# Types are checked here; what a recording must be, and who must have agreed, by the page's form.
class ReferenceSerializer(serializers.ModelSerializer[ReferenceAudio]):
    name = Line(max_length=100)
    transcript = StrictText(
        required=False, allow_blank=True, max_length=TEXT_CHARACTERS, help_text="What is said, word for word."
    )
    language = Line(required=False, allow_blank=True, max_length=35)
    consent_note = StrictText(
        required=False,
        allow_blank=True,
        max_length=TEXT_CHARACTERS,
        help_text="Who speaks, and how they agreed that their voice is cloned. Needed with a file.",
    )
    may_be_cloned = FormFlag(required=False, help_text="Whether the speaker agreed. Needed with a file.")
    file = serializers.FileField(
        write_only=True, help_text="WAV, FLAC, MP3, Opus, AAC, M4A or WebM, at most 30 MB and 10 minutes."
    )
    characters = serializers.SerializerMethodField(help_text="The characters that speak like it.")

    class Meta:
        model = ReferenceAudio
        fields = [
            "id", "name", "file", "transcript", "language", "consent_note", "may_be_cloned", "duration", "peak",
            "loudness", "clipped", "characters", "created_at",
        ]  # fmt: skip
        read_only_fields = ["duration", "peak", "loudness", "clipped", "created_at"]

    def get_characters(self, row: ReferenceAudio) -> list[int]:
        seen: set[int] = self.context["seen"]
        return [character.pk for character in row.characters.all() if character.pk in seen]

    def run_validation(self, data: Any = serializers.empty) -> Any:
        refuse_unknown(data, self.fields)
        # A form's data has many values for a name; the last one counts.
        return super().run_validation({name: data[name] for name in data})

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        row = self.instance or ReferenceAudio()
        file: UploadedFile[Any] | None = attrs.pop("file", None)
        names = ReferenceAudioForm.Meta.fields
        values = {name: attrs.get(name, getattr(row, name)) for name in names}
        self.form = ReferenceAudioForm(values, {"upload": file} if file else None, instance=row)
        if errors := self.form.errors:
            told = {"file" if name == "upload" else name: [str(one) for one in found] for name, found in errors.items()}
            raise serializers.ValidationError(told)
        return attrs

    def save(self, **kwargs: Any) -> ReferenceAudio:
        return self.form.save()


# What is a part is said by the page's form, in the same way.
class TrimSerializer(StrictBody):
    start = StrictNumber(help_text="Seconds from the beginning.")
    end = StrictNumber(help_text="Seconds from the beginning, at least a tenth of a second after the start.")
    keep_as = serializers.ChoiceField(
        [(TrimForm.NEW, "a recording of its own"), (TrimForm.IN_PLACE, "in place of the whole")],
        default=TrimForm.NEW,
        help_text="A recording of its own, or the part in place of the whole, for all characters that use it.",
    )
    name = Line(required=False, max_length=100, help_text="Of the recording of its own.")
    transcript = StrictText(
        required=False,
        allow_blank=True,
        max_length=TEXT_CHARACTERS,
        help_text="What is said in this part; left out, it stays that of the whole.",
    )
    delete_original = StrictBoolean(
        default=False,
        help_text="Whether the whole is lost where the part takes its place; else it is kept beside it.",
    )


class ReferenceQuery(SearchQuery):
    ordering = Ordering("name", "duration", "created_at")
    language = TextFilter(help_text="The start of the language, such as en or en-US.")
    may_be_cloned = FlagFilter()

    lookups = {"language": "language__istartswith"}
    searched = ("name", "transcript")


class ReferenceViewSet(RowViewSet[ReferenceAudio]):
    """Recordings. A key that is limited to banks sees those that its characters speak like, and changes none."""

    queryset = ReferenceAudio.objects.all()
    serializer_class = ReferenceSerializer
    query_class = ReferenceQuery
    serves_limited_keys = True
    looks = frozenset({"list", "retrieve", "audio"})
    parser_classes = (StrictJSONParser, MultiPartParser)

    def get_parsers(self) -> list[Any]:
        adds = getattr(self.request, "method", "") == "POST" and not self.detail
        return [MultiPartParser()] if adds else super().get_parsers()

    def get_queryset(self) -> QuerySet[ReferenceAudio]:
        return visible_references(self.request).prefetch_related("characters").defer("waveform")

    def get_serializer_context(self) -> dict[str, Any]:
        seen = set(visible_characters(self.request).exclude(reference=None).values_list("pk", flat=True))
        return {**super().get_serializer_context(), "seen": seen}

    def check_may_touch(self, row: ReferenceAudio) -> None:
        if allowed_banks(self.request) is not None:
            raise PermissionDenied(_("This API key is limited to some banks: it can't change recordings."))

    def create(self, request: Request) -> Response:
        self.check_may_add()
        return self.shown(self.stored(self.get_serializer(data=request.data), Change.ADDED), status=201)

    def partial_update(self, request: Request, pk: str) -> Response:
        row = self.changeable()
        return self.shown(self.stored(self.get_serializer(row, data=request.data, partial=True), Change.CHANGED))

    def stored(self, serializer: Any, change: Change) -> ReferenceAudio:
        """Decoding takes its time, so it comes before the transaction: nobody else could write meanwhile."""
        serializer.is_valid(raise_exception=True)
        with transaction.atomic():
            row: ReferenceAudio = serializer.save()
            self.note(row, change, changed(*serializer.initial_data) if change is Change.CHANGED else "")
        return row

    @extend_schema(request=TrimSerializer, responses={200: ReferenceSerializer, 201: ReferenceSerializer})
    @action(detail=True, methods=["post"], parser_classes=[StrictJSONParser])
    def trim(self, request: Request, pk: str) -> Response:
        """Keep a part: as a recording of its own (201), or in place of the whole (200)."""
        row = self.writable()
        if not request.user.has_perm("banks.add_referenceaudio"):
            raise PermissionDenied(_("Trimming makes a recording, too: you lack the right to add any."))
        sent = TrimSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        initial = TrimForm(row).initial
        form = TrimForm(row, {**initial, **sent.validated_data})
        if not form.is_valid():
            raise serializers.ValidationError(
                {name: [str(one) for one in problems] for name, problems in form.errors.items()}
            )
        try:
            trimmed = form.trim()
        except BadAudio as error:
            raise serializers.ValidationError({"end": error.message}) from error
        except FileNotFoundError as error:
            raise _gone() from error
        for note in trimmed.notes():
            self.note(*note)
        return self.shown(trimmed.part, 201 if trimmed.added else 200)

    @extend_schema(responses={(200, "audio/wav"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"])
    def audio(self, request: Request, pk: str) -> HttpResponse:
        """The recording itself."""
        try:
            content = self.get_object().recording()
        except (FileNotFoundError, ValueError) as error:
            raise _gone() from error
        return HttpResponse(content, content_type="audio/wav")


def _gone() -> NotFound:
    return NotFound(_("The file of this recording is gone: upload it again."))
