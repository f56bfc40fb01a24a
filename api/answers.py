"""The shapes of the OpenAI endpoints' answers, for the schema."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers

from providers.speech import AudioFormat


class ErrorDetailSerializer(serializers.Serializer[Any]):
    message = serializers.CharField(help_text="For people.")
    type = serializers.CharField()
    param = serializers.CharField(allow_null=True, help_text="The field at fault.")
    code = serializers.CharField(allow_null=True, help_text="For programs.")


class ErrorSerializer(serializers.Serializer[Any]):
    error = ErrorDetailSerializer()


class SpeakerIdAnswer(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()


class ModelAnswer(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    object = serializers.ChoiceField(["model"])
    created = serializers.IntegerField()
    owned_by = serializers.CharField()
    description = serializers.CharField()
    voices = SpeakerIdAnswer(many=True)


class ModelsAnswer(serializers.Serializer[Any]):
    object = serializers.ChoiceField(["list"])
    data = ModelAnswer(many=True)  # type: ignore[assignment]  # the answer's own name
    models = ModelAnswer(many=True, help_text="The same list.")


class VoiceAnswer(serializers.Serializer[Any]):
    id = serializers.CharField()
    voice_id = serializers.CharField()
    name = serializers.CharField()
    object = serializers.ChoiceField(["audio.voice"])
    created_at = serializers.IntegerField()
    model = serializers.CharField(help_text="The bank.")
    description = serializers.CharField()
    language = serializers.CharField()
    provider = serializers.CharField(help_text="The provider's kind.")
    task_mode = serializers.CharField()
    aliases = serializers.ListField(child=serializers.CharField())


class VoicesAnswer(serializers.Serializer[Any]):
    object = serializers.ChoiceField(["list"])
    voices = VoiceAnswer(many=True)
    data = VoiceAnswer(many=True)  # type: ignore[assignment]  # the answer's own name


class SpeakerAnswer(serializers.Serializer[Any]):
    name = serializers.CharField()
    voice_id = serializers.CharField()
    preview_url = serializers.CharField()
    lang = serializers.CharField()
    model = serializers.CharField(help_text="The bank.")


class HealthAnswer(serializers.Serializer[Any]):
    status = serializers.ChoiceField(["ok"])
    api = serializers.ChoiceField(["on", "off"])


AUDIO_ANSWERS: dict[tuple[int, str], Any] = {
    **{(200, audio_format.content_type): OpenApiTypes.BINARY for audio_format in AudioFormat},
    (200, "text/event-stream"): OpenApiTypes.OBJECT,
}
