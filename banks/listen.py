"""A voice of a provider's catalogue is heard before there is a character that has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from banks.roster import Speaker
from banks.samples import sample
from banks.speak import Wish, speak
from providers import adapters
from providers.admin import may_listen
from providers.engine import Engine, ask_engine
from providers.errors import BadAudio, ProviderUnavailable, QueueCancelled, SpeechError
from providers.models import CatalogueVoice, Provider
from providers.options import with_defaults
from providers.speech import AudioFormat, TaskMode

MAX_BYTES = 16 * 1024 * 1024


@require_POST
@staff_member_required
def listen(request: HttpRequest, pk: int) -> HttpResponse:
    """A sentence in the voice's language. For the page's script."""
    if not may_listen(request.user):
        raise PermissionDenied
    voices = CatalogueVoice.objects.select_related("provider").defer("provider__api_key")
    voice = get_object_or_404(voices, pk=pk)
    return heard(request, partial(speaker_of, voice), sample(voice.language, voice.external_id))


def heard(request: HttpRequest, speaker: Callable[[], Speaker], text: str) -> HttpResponse:
    """What a speaker says, as MP3; a failure, of finding the speaker too, as JSON with its reason."""
    wish = Wish(text=text, source=request.user.get_username(), user_id=request.user.pk)
    try:
        sound = ask_engine(partial(_heard, speaker(), wish))
    except SpeechError as error:
        answer: HttpResponse = JsonResponse(
            {"error": {"message": error.message, "code": error.code}}, status=error.status
        )
    else:
        answer = HttpResponse(sound, content_type=AudioFormat.MP3.content_type)
    answer["Cache-Control"] = "no-store"
    return answer


def speaker_of(voice: CatalogueVoice) -> Speaker:
    """One that lives for this sentence. ProviderUnavailable where the voice can't speak by itself."""
    provider = voice.provider
    if provider.archived_at is not None or not provider.enabled:
        raise ProviderUnavailable(_("“%s” is switched off: switch it on to hear its voices.") % provider)
    if provider.kind not in adapters.kinds():
        raise ProviderUnavailable(_("“%s” is of a kind that is not part of this version.") % provider)
    if voice.task_mode not in ("", TaskMode.PRESET):
        raise ProviderUnavailable(_("This voice speaks only through a character that clones or designs it."))
    declared = provider.adapter_class.capabilities.character_options
    return Speaker(
        id="",
        name=str(voice),
        bank="",
        provider=provider.config(),
        voice=voice.external_id,
        model=voice.model or _usual_model(provider),
        options=with_defaults(declared, {}),
    )


def _usual_model(provider: Provider) -> str:
    """For kinds that want one with each request, where the provider's options name none: the first listed for speech.

    Where other voices are tied to models, those without one go with what the kind itself takes for granted.
    """
    declared = {option.name for option in provider.adapter_class.capabilities.provider_options}
    if "model" not in declared or provider.options.get("model"):
        return ""
    if provider.catalogue_voices.filter(vanished_at=None).exclude(model="").exists():
        return ""
    models = provider.catalogue_models.filter(vanished_at=None)
    listed = models.filter(external_id__icontains="tts").first() or models.first()
    return listed.external_id if listed else ""


async def _heard(speaker: Speaker, wish: Wish, engine: Engine) -> bytes:
    """Ends when the page's request ends, and when somebody cancels it in the queue, which is QueueCancelled."""
    speaking = asyncio.ensure_future(_spoken(speaker, wish, engine))
    try:
        await asyncio.wait({speaking})
    finally:
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
    if speaking.cancelled():
        raise QueueCancelled(_("Somebody who watches the queue cancelled it."))
    return speaking.result()


async def _spoken(speaker: Speaker, wish: Wish, engine: Engine) -> bytes:
    task = asyncio.current_task()
    assert task is not None
    sound = bytearray()
    async with aclosing(await speak(speaker, replace(wish, stop=task.cancel), engine)) as speech:
        async for chunk in speech:
            sound += chunk
            if len(sound) > MAX_BYTES:
                raise BadAudio(_("The provider sends more sound than a sentence can have."))
    return bytes(sound)
