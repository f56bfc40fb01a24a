"""From the body of a request to a stored job: everything is checked before anything is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from rest_framework.exceptions import ValidationError

from api.jobs.errors import KeyReused, TooManyOpen
from api.jobs.models import Job, JobItem, WebhookState, new_webhook_secret
from api.jobs.serializers import MOST_INPUTS, EnvelopeSerializer, InputSerializer
from api.serializers import parse_spoken
from banks.models import Membership
from banks.pieces import speakable
from banks.roster import ActiveBank, Speaker, find_speaker
from banks.speak import require_instructions
from providers.adapters import adapter_class
from providers.errors import NothingToSay, SpeechError
from providers.queue import Priority
from studio.files import quota_spent
from studio.frozen import FrozenVoice, MadeWith
from studio.models import MEGABYTE, StudioSettings, Take
from studio.models.takes import bytes_used

# What the jobs of one owner may have waiting or being spoken at once.
MOST_OPEN_OF_OWNER = 10_000
_SHARED = ("voice", "model", "response_format", "speed", "instructions")
_INPUT = InputSerializer()


@dataclass(frozen=True, slots=True)
class Order:
    """A request for a job. `digest` is of the body as it came; `idempotency_key` may be empty."""

    key_id: int
    owner_id: int
    banks: tuple[ActiveBank, ...]
    body: Any
    digest: str
    idempotency_key: str
    max_input_characters: int


@dataclass(frozen=True, slots=True)
class Text:
    """One text of an order, complete with who speaks it."""

    speaker: Speaker
    text: str
    spoken: str
    format: str
    speed: float
    instructions: str
    custom_id: str

    def take(self, owner: Any, voice: FrozenVoice, character_id: int | None) -> Take:
        made_with = MadeWith(voice, self.speed, self.instructions)
        values = {"priority": Priority.BATCH.value, "character_id": character_id}
        return Take.ask(owner, self.text, made_with, self.format, spoken=self.spoken, **values)


def submit(order: Order) -> tuple[Job, bool]:
    """The stored job, and whether it was there already. ValidationError, SpeechError."""
    if known := _known(order):
        return known, True
    envelope, texts = _envelope(order.body), _texts(order)
    try:
        with transaction.atomic():
            if known := _known(order):
                return known, True
            require_room(order.owner_id, len(texts))
            return _stored(order, envelope, texts), False
    except IntegrityError:
        # The same key at the same moment.
        if known := _known(order):
            return known, True
        raise


def _known(order: Order) -> Job | None:
    """What an earlier request with the same Idempotency-Key made. KeyReused."""
    if not order.idempotency_key:
        return None
    job = Job.objects.replayed(order.key_id, order.idempotency_key)
    if job is not None and job.body_digest != order.digest:
        raise KeyReused("This Idempotency-Key was used with another body: take a new key for a new request.")
    return job


def _envelope(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise ValidationError({"non_field_errors": ["The body must be a JSON object."]})
    given = {name: value for name, value in body.items() if value is not None}
    found: dict[str, Any] = EnvelopeSerializer().run_validation(given)
    return found


def _texts(order: Order) -> list[Text]:
    body, seen = order.body, set[str]()
    inputs = body.get("inputs")
    if inputs is None:
        return [_text(order, body, "")]
    if body.get("input") is not None:
        raise ValidationError({"inputs": ["Send `input` or `inputs`, not both."]})
    if not isinstance(inputs, list) or not 1 <= len(inputs) <= MOST_INPUTS:
        raise ValidationError({"inputs": [f"`inputs` must be a list of 1 to {MOST_INPUTS} objects."]})
    shared = {name: body[name] for name in _SHARED if body.get(name) is not None}
    texts = []
    for index, one in enumerate(inputs):
        text = _text(order, _completed(one, shared), f"inputs[{index}]", shared)
        if text.custom_id and text.custom_id in seen:
            raise ValidationError({f"inputs[{index}].custom_id": ["Another input of this job has this `custom_id`."]})
        seen.add(text.custom_id)
        texts.append(text)
    return texts


def _completed(one: Any, shared: Mapping[str, Any]) -> Any:
    """An input with what holds for all of them; what is no object is left for the serializer to refuse."""
    if not isinstance(one, dict):
        return one
    own = {name: value for name, value in one.items() if value is not None}
    return {**shared, **own}


def _text(order: Order, data: Any, place: str, shared: Mapping[str, Any] | None = None) -> Text:
    """Checked as the speech endpoint does; errors name the input that they are about."""
    try:
        body = parse_spoken(_INPUT, data, order.max_input_characters)
    except ValidationError as error:
        detail: Any = error.detail
        raise ValidationError({_named(name, data, place, shared): told for name, told in detail.items()}) from error
    try:
        return _resolved(order, body)
    except SpeechError as error:
        error.param = _named(error.param or "input", data, place, shared)
        raise


def _named(name: str, data: Any, place: str, shared: Mapping[str, Any] | None) -> str:
    """The field at fault as the caller wrote it: of the one input, or of what all share."""
    if not place:
        return name
    if name == "non_field_errors":
        return place
    if shared and name in shared and isinstance(data, dict) and data.get(name) is shared[name]:
        return name
    return f"{place}.{name}"


def _resolved(order: Order, body: Mapping[str, Any]) -> Text:
    speaker = find_speaker(order.banks, body["model"].strip(), body["voice"])
    instructions = body["instructions"].strip()
    if instructions:
        require_instructions(speaker, adapter_class(speaker.provider.kind).capabilities)
    spoken = speaker.rules.apply(body["input"], speaker.language)
    if not speakable(spoken):
        raise NothingToSay("The input holds no words to speak.", param="input")
    return Text(
        speaker=speaker,
        text=body["input"],
        spoken=spoken,
        format=body["response_format"],
        speed=body["speed"],
        instructions=instructions,
        custom_id=body["custom_id"],
    )


def require_room(owner_id: int, more: int) -> None:
    """TooManyOpen or QuotaSpent where the owner's jobs can't have so many takes more now."""
    waiting = Take.objects.open().filter(owner=owner_id, job_item__isnull=False).count()
    if waiting + more > MOST_OPEN_OF_OWNER:
        raise TooManyOpen(
            f"{waiting} texts of your jobs are not spoken yet, and at most {MOST_OPEN_OF_OWNER} may wait:"
            " wait for some, or cancel a job.",
            retry_after=60,
        )
    quota = StudioSettings.load().quota_mb
    if quota and bytes_used(owner_id) >= quota * MEGABYTE:
        raise quota_spent(quota)


def _stored(order: Order, envelope: Mapping[str, Any], texts: list[Text]) -> Job:
    url = envelope.get("webhook_url", "")
    owner = get_user_model()._default_manager.get(pk=order.owner_id)
    job = Job.objects.create(
        owner=owner,
        key_id=order.key_id,
        metadata=envelope.get("metadata", {}),
        idempotency_key=order.idempotency_key,
        body_digest=order.digest,
        webhook_url=url,
        webhook_secret=new_webhook_secret() if url else "",
        webhook_state=WebhookState.WAITING if url else WebhookState.NONE,
    )
    takes = Take.objects.bulk_create(_takes(owner, texts))
    JobItem.objects.bulk_create(
        JobItem(job=job, index=index, custom_id=text.custom_id, voice_id=text.speaker.id, take=take)
        for index, (text, take) in enumerate(zip(texts, takes, strict=True))
    )
    return job


def _takes(owner: Any, texts: list[Text]) -> Iterator[Take]:
    speakers = {text.speaker.id: text.speaker for text in texts}
    voices = {id: FrozenVoice.of(speaker) for id, speaker in speakers.items()}
    characters = characters_of(speakers)
    for text in texts:
        yield text.take(owner, voices[text.speaker.id], characters.get(text.speaker.id))


def characters_of(voice_ids: Mapping[str, Speaker]) -> dict[str, int]:
    """The primary keys of the characters that have these ids in the lists of voices."""
    found = Membership.objects.filter(public_id__in=list(voice_ids))
    return dict(found.values_list("public_id", "character_id"))
