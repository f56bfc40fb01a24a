"""What is sent for a job, and what a list of jobs is asked for."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from rest_framework import serializers

from api.jobs.models import LONGEST_CUSTOM_ID, LONGEST_URL, JobStatus
from api.serializers import SpokenSerializer, StrictText, VoiceField
from providers.egress import AddressRefused, check_host

MOST_INPUTS = 1000
MOST_METADATA, LONGEST_NAME, LONGEST_VALUE = 16, 64, 512
MOST_LISTED = 100


class InputSerializer(SpokenSerializer):
    """One text of a job."""

    custom_id = StrictText(
        required=False,
        default="",
        allow_blank=True,
        max_length=LONGEST_CUSTOM_ID,
        help_text="Your own name for it; each in a job is another.",
    )


class JobInputSerializer(InputSerializer):
    """As it is sent: what holds for all texts may stand beside them."""

    voice = VoiceField("voice", required=False, max_length=200, help_text="As for speech; here, or for all.")


class MetadataField(serializers.DictField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=StrictText(allow_blank=True, max_length=LONGEST_VALUE), **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            if len(data) > MOST_METADATA:
                raise serializers.ValidationError(f"`metadata` holds at most {MOST_METADATA} names.")
            for name in data:
                StrictText(max_length=LONGEST_NAME).run_validation(name)
        return super().to_internal_value(data)


class WebhookField(StrictText):
    """An address that may be called, as far as its text tells."""

    def to_internal_value(self, data: Any) -> str:
        url = super().to_internal_value(data).strip()
        if reason := webhook_refusal(url):
            raise serializers.ValidationError(reason)
        return url


def webhook_refusal(url: str) -> str:
    """What is wrong with the address of a webhook; empty when nothing is. Where its host leads is found out when it is
    called."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        return f"This is not an address: {error}."
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or not url.isprintable() or " " in url:
        return "Enter an address that starts with https:// or http://; other letters than ASCII percent-encoded."
    if parts.username is not None or parts.password is not None:
        return "Leave name and password out of the address: check the signature instead."
    try:
        check_host(host, public=not settings.ALLOW_PRIVATE_WEBHOOKS)
    except AddressRefused as error:
        return f"This address leads to {error.reason}, where no webhook may be."
    return ""


class EnvelopeSerializer(serializers.Serializer[Any]):
    """What stands beside the texts of a job."""

    metadata = MetadataField(required=False, help_text="Up to 16 texts of your own, by name.")
    webhook_url = WebhookField(
        required=False,
        max_length=LONGEST_URL,
        allow_blank=True,
        help_text="Is told when the job is at its end.",
    )


class JobBody(EnvelopeSerializer):
    """One text, or `inputs`, for which the other fields are defaults."""

    input = StrictText(required=False, help_text="The text to speak.")
    inputs = JobInputSerializer(many=True, required=False, help_text="Texts to speak, in place of `input`.")

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for name, shared in InputSerializer().get_fields().items():
            shared.required = False
            fields.setdefault(name, shared)
        return fields


class ListQuery(serializers.Serializer[Any]):
    limit = serializers.IntegerField(default=20, min_value=1, max_value=MOST_LISTED)
    after = StrictText(required=False, help_text="The id of the job that the last answer ended with.")
    status = serializers.ChoiceField(JobStatus.values, required=False)


class AudioQuery(serializers.Serializer[Any]):
    item = serializers.IntegerField(
        source="index", required=False, min_value=0, max_value=MOST_INPUTS - 1, help_text="Its index."
    )
    custom_id = StrictText(required=False, max_length=LONGEST_CUSTOM_ID)

    def validate(self, attrs: Any) -> Any:
        if len(attrs) > 1:
            raise serializers.ValidationError({"custom_id": ["Name one: `item` or `custom_id`."]})
        return attrs
