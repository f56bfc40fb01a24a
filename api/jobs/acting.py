"""Cancelling a job, and trying again what failed of it."""

from __future__ import annotations

from dataclasses import replace

from django.db import transaction
from rest_framework.exceptions import PermissionDenied

from api.jobs.asking import characters_of, require_room
from api.jobs.errors import NothingToRetry
from api.jobs.models import Job, JobItem, WebhookState
from banks.roster import ActiveBank, Speaker
from providers.database import in_database
from providers.queue import Priority
from studio.frozen import FrozenVoice
from studio.models import Take, TakeState
from studio.runner import current_runner


async def cancel(job: Job) -> None:
    """End what is open of it. On the server's loop."""
    takes = Take.objects.filter(job_item__job=job.pk)
    # What waits first, so that nobody begins with it meanwhile.
    await in_database(takes.queued().cancel)
    running = await in_database(lambda: list(takes.open().values_list("pk", flat=True)))
    if running and (runner := current_runner()):
        await runner.stop(running)
    await in_database(takes.cancel)


def retry(job: Job, banks: tuple[ActiveBank, ...], every_bank: tuple[ActiveBank, ...]) -> int:
    """Another take for each item that failed or was cancelled; how many. `banks` are those that the caller may use.

    As on the pages, the character is asked as it is now, or as it was where it can't be asked any more.
    """
    with transaction.atomic():
        # Of two at the same moment the second finds nothing left to do.
        Job.objects.select_for_update().defer("webhook_secret").get(pk=job.pk)
        wanted = JobItem.objects.filter(job=job, take__state__in=(TakeState.FAILED, TakeState.CANCELLED))
        items = list(wanted.select_related("take__owner").order_by("index"))
        if not items:
            raise NothingToRetry("No item of this job failed or was cancelled.")
        require_room(job.owner_id, len(items))
        speakers = {item.voice_id: _speaker(item, banks, every_bank) for item in items}
        known = {id: speaker for id, speaker in speakers.items() if speaker}
        characters = characters_of(known)
        takes = [_again(item, known.get(item.voice_id), characters.get(item.voice_id)) for item in items]
        for item, take in zip(items, Take.objects.bulk_create(takes), strict=True):
            item.take = take
        JobItem.objects.bulk_update(items, ["take"], batch_size=200)
        if job.webhook_url:
            Job.objects.filter(pk=job.pk).update(
                webhook_state=WebhookState.WAITING, webhook_attempts=0, webhook_due=None, webhook_error=""
            )
    return len(items)


def _speaker(item: JobItem, banks: tuple[ActiveBank, ...], every_bank: tuple[ActiveBank, ...]) -> Speaker | None:
    """Who speaks it now; None where nobody does any more. PermissionDenied where the caller may not ask."""
    if found := _found(banks, item.voice_id):
        return found
    if _found(every_bank, item.voice_id):
        raise PermissionDenied(f"This API key may no longer use the voice of item {item.index}.")
    return None


def _found(banks: tuple[ActiveBank, ...], voice_id: str) -> Speaker | None:
    return next((speaker for bank in banks for speaker in bank.speakers if speaker.id == voice_id), None)


def _again(item: JobItem, speaker: Speaker | None, character_id: int | None) -> Take:
    was = item.take
    assert was is not None
    made_with, spoken = was.made_with, was.spoken
    if speaker is not None:
        made_with = replace(made_with, voice=FrozenVoice.of(speaker))
        spoken = speaker.rules.apply(was.text, speaker.language)
    values = {"priority": Priority.BATCH.value, "character_id": character_id or was.character_id}
    return Take.ask(was.owner, was.text, made_with, was.format, spoken=spoken, **values)
