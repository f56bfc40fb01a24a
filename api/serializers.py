from __future__ import annotations

from functools import cached_property
from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty

from providers.speech import SPEED_MAX, SPEED_MIN, AudioFormat


class StrictText(serializers.CharField):
    """Text only (numbers are not text), kept as it came; blank is refused where it is required."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        try:
            data.encode()
        except UnicodeEncodeError as error:
            raise serializers.ValidationError("Must be valid Unicode; this has half a surrogate pair.") from error
        return str(super().to_internal_value(data))


class RequiredText(StrictText):
    def __init__(self, field: str, **kwargs: Any) -> None:
        missing = f"`{field}` is missing: it must be text that is not blank."
        messages = {"required": missing, "blank": missing, "null": missing, "invalid": f"`{field}` must be text."}
        super().__init__(error_messages=messages, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        if not value.strip():
            raise serializers.ValidationError(self.error_messages["blank"], code="required")
        return value


class VoiceField(RequiredText):
    """A name, or OpenAI's {"id": "…"}."""

    def to_internal_value(self, data: Any) -> str:
        if isinstance(data, dict):
            data = data.get("id")
        return super().to_internal_value(data).strip()


class StrictNumber(serializers.FloatField):
    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, (int, float)):
            self.fail("invalid")
        try:
            return float(super().to_internal_value(data))
        except OverflowError:  # a whole number may have any length
            self.fail("invalid")


class StrictBoolean(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class SpokenSerializer(serializers.Serializer[Any]):
    """What is spoken, and how. Unknown keys are ignored, null is the same as absent."""

    input = RequiredText("input", help_text="The text to speak.")
    voice = VoiceField("voice", max_length=200, help_text='A voice\'s name, alias or id; or {"id": "…"}.')
    model = StrictText(required=False, default="", allow_blank=True, max_length=200, help_text="A bank's name.")
    response_format = serializers.ChoiceField(
        [format.value for format in AudioFormat],
        required=False,
        default=AudioFormat.MP3.value,
        error_messages={"invalid_choice": "`response_format` must be one of: " + ", ".join(AudioFormat) + "."},
    )
    speed = StrictNumber(
        required=False,
        default=1.0,
        min_value=SPEED_MIN,
        max_value=SPEED_MAX,
        error_messages=dict.fromkeys(
            ("invalid", "min_value", "max_value"), f"`speed` must be a number from {SPEED_MIN} to {SPEED_MAX}."
        ),
    )
    instructions = StrictText(required=False, default="", allow_blank=True, max_length=10_000)

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError({"non_field_errors": ["The body must be a JSON object."]})
        given = {name: value for name, value in data.items() if value is not None}
        # DRF would ask each field that is not there for its default, one by one.
        absent = self._defaults.keys() - given.keys()
        problems, body = {}, {name: self._defaults[name] for name in absent}
        for name, field in self.fields.items():
            if name in absent:
                continue
            try:
                body[name] = field.run_validation(given.get(name, empty))
            except serializers.SkipField:
                continue
            except serializers.ValidationError as error:
                problems[name] = error.detail
        if problems:
            raise serializers.ValidationError(problems)
        return body

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        return {name: field.default for name, field in self.fields.items() if field.default is not empty}


class SpeechSerializer(SpokenSerializer):
    """The body of POST /v1/audio/speech."""

    stream = StrictBoolean(required=False, default=False, help_text="Send audio as it is made.")
    stream_format = serializers.ChoiceField(
        ["audio", "sse"],
        required=False,
        default="audio",
        error_messages={"invalid_choice": "`stream_format` must be one of: audio, sse."},
    )


# Made once: validating holds no state, and making its fields anew costs more than all else that we do in a request.
_SPEECH = SpeechSerializer()


def parse_speech(data: Any, max_input_characters: int) -> dict[str, Any]:
    """The validated body, complete with defaults. Raises DRF's ValidationError."""
    return parse_spoken(_SPEECH, data, max_input_characters)


def parse_spoken(serializer: SpokenSerializer, data: Any, max_input_characters: int) -> dict[str, Any]:
    body: dict[str, Any] = serializer.run_validation(data)
    if len(body["input"]) > max_input_characters:
        message = f"`input` has {len(body['input'])} characters; this server takes at most {max_input_characters}."
        raise serializers.ValidationError({"input": [message]})
    return body
