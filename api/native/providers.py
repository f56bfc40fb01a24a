"""Providers, how they are, and which kinds of them there are."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlsplit

from django.db.models.functions import Length
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from api.native.fields import Line, OptionsField
from api.native.filters import ArchivableQuery, FlagFilter, Ordering
from api.native.serializers import RowSerializer
from api.native.views import ArchivableViewSet, Conflict, NativeView
from api.serializers import StrictText
from providers import adapters
from providers.audit import Change
from providers.catalogue import check_health, fetch_all
from providers.key_form import stored_key_length
from providers.models import HealthReport, Provider
from providers.pages import ask, health_of
from providers.speech import AudioFormat, Option, OptionType, TaskMode

PRIVATE = ("base_url", "options")


@extend_schema_field({"type": "string", "enum": list(adapters.kinds())})
class KindField(Line):
    """One of the registry's kinds; a row may have one that this version lacks."""


class ProviderSerializer(RowSerializer[Provider]):
    kind = KindField(max_length=40)
    base_url = Line(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=500,
        help_text="Null for those who may not change providers.",
    )
    api_key = StrictText(
        write_only=True,
        required=False,
        allow_blank=True,
        max_length=4000,
        help_text="Stored encrypted and never shown again. Empty removes it; left out, the stored one stays.",
    )
    has_key = serializers.SerializerMethodField(help_text="Whether a key is stored.")
    options = OptionsField(
        required=False, allow_null=True, help_text="As the kind declares them. Null for those who may not change them."
    )
    healthy = serializers.SerializerMethodField(help_text="What the last check found; null before the first.")

    fixed = ("kind",)
    # It is checked here, and reading it would decrypt it.
    unchecked = ("api_key",)

    class Meta:
        model = Provider
        fields = [
            "id", "name", "kind", "base_url", "api_key", "has_key", "enabled", "healthy", "position",
            "max_concurrency", "requests_per_minute", "tokens_per_minute", "requests_per_day", "tokens_per_day",
            "time_zone", "timeout_seconds", "piece_characters", "options", "archived_at", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = ["archived_at", "created_at", "updated_at"]

    def get_has_key(self, row: Provider) -> bool:
        return bool(stored_key_length(row))

    def get_healthy(self, row: Provider) -> bool | None:
        report = health_of(row)
        return report.healthy if report else None

    def to_representation(self, instance: Provider) -> dict[str, Any]:
        shown = super().to_representation(instance)
        if not self.request.user.has_perm("providers.change_provider"):
            shown |= dict.fromkeys(PRIVATE)
        return shown

    def validate_kind(self, kind: str) -> str:
        if kind not in adapters.kinds():
            raise serializers.ValidationError(_("There is no such kind. There are: %s.") % ", ".join(adapters.kinds()))
        return kind

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs |= {name: empty for name, empty in (("base_url", ""), ("options", {})) if attrs.get(name, "") is None}
        kind = attrs["kind"] if self.instance is None else self.instance.kind
        if kind not in adapters.kinds():
            raise Conflict(_("This kind is not part of this version, so the provider can't be changed."))
        capabilities = adapters.adapter_class(kind).capabilities
        if self.instance is None:
            attrs.setdefault("max_concurrency", capabilities.default_concurrency)
        self._check_key(attrs, needed=capabilities.needs_key)
        return super().validate(attrs)

    def _check_key(self, attrs: dict[str, Any], *, needed: bool) -> None:
        stored = self.instance is not None and self.get_has_key(self.instance)
        kept = stored and "api_key" not in attrs
        if needed and not kept and not attrs.get("api_key"):
            raise serializers.ValidationError({"api_key": _("This kind of provider needs a key.")})
        if kept and self._moves_away(attrs):
            text = _("The address leads to another server: send the key again, or an empty one to remove it.")
            raise serializers.ValidationError({"api_key": text})

    def _moves_away(self, attrs: dict[str, Any]) -> bool:
        """Whether the stored key would go to a server that it was not given for."""
        before = self.instance.base_url if self.instance else ""
        return urlsplit(before)[:2] != _origin(attrs.get("base_url", before))


def _origin(address: str) -> tuple[str, ...]:
    try:
        return tuple(urlsplit(address)[:2])
    except ValueError:
        return ()  # the model says what is wrong with it


class HealthSerializer(serializers.ModelSerializer[HealthReport]):
    healthy = serializers.BooleanField(read_only=True)
    admin_url = serializers.CharField(
        read_only=True,
        allow_null=True,
        help_text="The backend's own pages. Null for those who may not change providers.",
    )

    class Meta:
        model = HealthReport
        fields = [
            "healthy", "checked_at", "latency_ms", "reachable", "reason", "key_accepted", "right_kind", "model_loaded",
            "admin_url",
        ]  # fmt: skip
        read_only_fields = fields

    def to_representation(self, instance: HealthReport) -> dict[str, Any]:
        shown = super().to_representation(instance)
        if not self.context["request"].user.has_perm("providers.change_provider"):
            shown["admin_url"] = None
        return shown


class FetchedSerializer(serializers.Serializer[Any]):
    models = serializers.IntegerField(help_text="How many models the provider lists.")
    voices = serializers.IntegerField(help_text="How many voices it lists.")
    vanished = serializers.IntegerField(help_text="How many known ones it lists no more.")


class ProviderQuery(ArchivableQuery):
    ordering = Ordering("position", "name", "created_at", "updated_at")
    enabled = FlagFilter()

    searched = ("name",)


class ProviderViewSet(ArchivableViewSet[Provider]):
    # Without the key itself: an answer can neither show it nor fail on one that can't be decrypted.
    queryset = Provider.objects.defer("api_key").select_related("health").annotate(key_length=Length("api_key"))
    serializer_class = ProviderSerializer
    query_class = ProviderQuery
    looks: ClassVar[frozenset[str]] = frozenset({"list", "retrieve", "health"})

    @extend_schema(responses=HealthSerializer)
    @action(detail=True, methods=["get"])
    def health(self, request: Request, pk: str) -> Response:
        """What the last check found. 409 before the first."""
        report = health_of(self.get_object())
        if report is None:
            raise Conflict(_("This provider was not checked yet: POST here to check it."))
        return Response(HealthSerializer(report, context=self.get_serializer_context()).data)

    @extend_schema(request=None, responses=HealthSerializer)
    @health.mapping.post
    def check_health(self, request: Request, pk: str) -> Response:
        """Ask the provider how it is, now. That it is not well is an answer too."""
        provider = self.askable()
        ask(provider, lambda engine, config: check_health(config, engine))
        report = get_object_or_404(HealthReport, provider=provider)
        return Response(HealthSerializer(report, context=self.get_serializer_context()).data)

    @extend_schema(request=None, responses=FetchedSerializer)
    @action(detail=True, methods=["post"])
    def fetch(self, request: Request, pk: str) -> Response:
        """Read the provider's models and voices into the catalogue. 502 when it can't list them."""
        provider = self.askable()
        fetched = ask(provider, lambda engine, config: fetch_all(config, engine))
        self.note(provider, Change.CHANGED, gettext_noop("Fetched voices and models."))
        return Response(FetchedSerializer(fetched).data)

    def askable(self) -> Provider:
        provider = self.changeable()
        if provider.kind not in adapters.kinds():
            raise Conflict(_("This kind is not part of this version, so the provider can't be asked."))
        return provider


class OptionSerializer(serializers.Serializer[Option]):
    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the answer's own name
    type = serializers.ChoiceField([kind.value for kind in OptionType])
    default = serializers.JSONField(allow_null=True)
    choices = serializers.ListField(child=serializers.CharField())
    minimum = serializers.FloatField(allow_null=True)
    maximum = serializers.FloatField(allow_null=True)
    help = serializers.CharField()


class ModeSerializer(serializers.Serializer[Any]):
    mode = serializers.ChoiceField([mode.value for mode in TaskMode])
    required = serializers.ListField(child=serializers.CharField())  # type: ignore[assignment]  # the answer's own name
    optional = serializers.ListField(child=serializers.CharField())


class KindSerializer(serializers.Serializer[Any]):
    kind = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the answer's own name
    unavailable = serializers.CharField(help_text="Why it can't work on this machine; empty where it can.")
    needs_base_url = serializers.BooleanField()
    needs_key = serializers.BooleanField()
    instructions = serializers.BooleanField(help_text="Whether it can follow instructions.")
    formats = serializers.ListField(child=serializers.ChoiceField([one.value for one in AudioFormat]))
    task_modes = ModeSerializer(many=True)
    provider_options = OptionSerializer(many=True)
    character_options = OptionSerializer(many=True)


class KindsView(NativeView):
    """The kinds of providers, and what each asks for and offers."""

    http_method_names = ["get", "head"]

    def rights(self) -> tuple[str, ...]:
        words = ("view", "add", "change")
        return tuple(f"{model % word}" for model in ("providers.%s_provider", "banks.%s_character") for word in words)

    @extend_schema(responses=KindSerializer(many=True))
    def get(self, request: Request) -> Response:
        return Response([KindSerializer(_kind(kind)).data for kind in adapters.kinds()])


def _kind(kind: str) -> dict[str, Any]:
    adapter = adapters.adapter_class(kind)
    capabilities = adapter.capabilities
    modes = capabilities.task_modes.items()
    return {
        "kind": kind,
        "label": adapter.label,
        "unavailable": adapter.unavailable(),
        "needs_base_url": capabilities.needs_base_url,
        "needs_key": capabilities.needs_key,
        "instructions": capabilities.instructions,
        "formats": sorted(capabilities.formats),
        "task_modes": [
            {"mode": mode.value, "required": sorted(fields.required), "optional": sorted(fields.optional)}
            for mode, fields in modes
        ],
        "provider_options": capabilities.provider_options,
        "character_options": capabilities.character_options,
    }
