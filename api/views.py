from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from adrf.views import APIView
from django.http import Http404, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView as DRFAPIView

from api import request as api_request
from api.answers import (
    AUDIO_ANSWERS,
    ErrorSerializer,
    HealthAnswer,
    ModelAnswer,
    ModelsAnswer,
    SpeakerAnswer,
    VoicesAnswer,
)
from api.authentication import ApiKeyAuthentication
from api.exceptions import ApiSwitchedOff, BodyTooLarge, error_body
from api.handler import AudioStreamResponse
from api.permissions import MaySpeak
from api.response_headers import speech_headers
from api.runtime import current_runtime
from api.serializers import SpeechSerializer, parse_speech
from api.throttling import RequestThrottle
from banks.delivery import Speech
from banks.roster import ActiveBank, Speaker, find_bank, find_speaker
from banks.speak import Wish, estimate_tokens, speak
from providers.errors import SpeechError
from providers.speech import AudioFormat


class AnyAccept(DefaultContentNegotiation):
    """What the view makes is what the client gets: OpenAI's clients ask for octet-stream and mean audio."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type or ""


class BoundedJSONParser(JSONParser):
    """Nesting without end is bad JSON, not a failure of ours."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise ParseError("JSON parse error - nested too deep") from error


class ApiView(APIView):  # type: ignore[misc]  # untyped base
    """A view of the API. Authentication and permission read memory only, and so does the throttle in a process that is
    alone: nothing leaves the loop."""

    view_is_async = True
    content_negotiation_class = AnyAccept
    parser_classes = (BoundedJSONParser,)
    check_permissions = DRFAPIView.check_permissions
    authentication_classes: Sequence[type[BaseAuthentication]] = (ApiKeyAuthentication,)
    permission_classes: Sequence[type[BasePermission]] = (MaySpeak,)
    throttle_classes: Sequence[type[RequestThrottle]] = (RequestThrottle,)
    works_when_off = False

    async def async_dispatch(self, request: api_request.ApiRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.args, self.kwargs = args, kwargs
        drf_request = self.request = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        response: HttpResponseBase
        try:
            self._refuse_early(request)
            self.initial(drf_request, *args, **kwargs)
            await self._throttle(drf_request)
            name = drf_request.method.lower() if drf_request.method else ""
            if name not in self.http_method_names or not hasattr(self, name):
                self.http_method_not_allowed(drf_request)
            response = await getattr(self, name)(drf_request, *args, **kwargs)
        except Exception as exc:
            response = self.handle_exception(exc)
            _note_error(request, response)
        final: HttpResponseBase = self.finalize_response(drf_request, response, *args, **kwargs)
        return final

    def check_throttles(self, request: Request) -> None:
        """Nothing: `_throttle` does it, which may wait."""

    async def _throttle(self, request: Request) -> None:
        for throttle in self.throttle_classes:
            if wait := await throttle().seconds(request):
                self.throttled(request, wait)

    def _refuse_early(self, request: api_request.ApiRequest) -> None:
        controls = request.state.controls
        if request.body_too_large:
            raise BodyTooLarge(f"The request is too large: this server takes at most {controls.max_body_bytes} bytes.")
        if not controls.api_enabled and not self.works_when_off:
            raise ApiSwitchedOff


def _note_error(request: api_request.ApiRequest, response: HttpResponseBase) -> None:
    content = getattr(response, "content", b"{}")
    request.record.error_code = json.loads(content).get("error", {}).get("code") or ""


class SpeechView(ApiView):
    http_method_names = ["post"]

    @extend_schema(operation_id="speak", tags=["speech"], request=SpeechSerializer, responses=AUDIO_ANSWERS)
    async def post(self, request: Request) -> HttpResponseBase:
        asked = api_request.of(request)
        body = parse_speech(request.data, asked.state.controls.max_input_characters)
        speaker = find_speaker(asked.banks, body["model"].strip(), body["voice"])
        _note_speaker(asked, speaker, body)
        sse = body["stream_format"] == "sse"
        wish = Wish(
            text=body["input"],
            format=AudioFormat(body["response_format"]),
            speed=body["speed"],
            instructions=body["instructions"].strip(),
            stream=body["stream"] or sse,
            source=asked.record.key_name or asked.record.address,
            user_id=key.owner_id if (key := api_request.caller_key(request)) else None,
            stop=asked.stop,
            rules=asked.state.controls.queue_rules,
        )
        speech = await speak(speaker, wish, current_runtime().engine)
        asked.record.speech = speech
        return await _answer(speech, wish, sse=sse)


def _note_speaker(asked: api_request.ApiRequest, speaker: Speaker, body: dict[str, Any]) -> None:
    record = asked.record
    record.bank, record.character, record.provider = speaker.bank, speaker.name, speaker.provider.name
    record.characters, record.audio_format = len(body["input"]), body["response_format"]


async def _answer(speech: Speech, wish: Wish, *, sse: bool) -> HttpResponseBase:
    headers = speech_headers(speech)
    if sse:
        headers |= {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return AudioStreamResponse(_events(speech, wish), content_type="text/event-stream", headers=headers)
    content_type = speech.format.content_type
    if speech.length is not None:
        async with aclosing(speech):
            content = b"".join([chunk async for chunk in speech])
        return HttpResponse(content, content_type=content_type, headers=headers)
    headers["X-Accel-Buffering"] = "no"
    return AudioStreamResponse(speech, content_type=content_type, headers=headers)


async def _events(speech: Speech, wish: Wish) -> AsyncGenerator[bytes]:
    """OpenAI's speech events; a failure on the way is an event too, and then there is no `done`."""
    try:
        async with aclosing(speech):
            async for chunk in speech:
                yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(chunk).decode()})
    except SpeechError as error:
        failure = error_body(error.status, error.message, param=error.param, code=error.code)
        yield _event({"type": "speech.audio.error", **failure})
        return
    tokens = estimate_tokens(wish.text, wish.instructions)
    usage = {"input_tokens": tokens, "output_tokens": 0, "total_tokens": tokens}
    yield _event({"type": "speech.audio.done", "usage": usage})


def _event(payload: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(payload, ensure_ascii=False)}\n\n".encode()


def _reply(payload: Any) -> JsonResponse:
    return JsonResponse(payload, safe=False, json_dumps_params={"ensure_ascii": False})


def _model(bank: ActiveBank) -> dict[str, Any]:
    return {
        "id": bank.name,
        "name": bank.name,
        "object": "model",
        "created": bank.created,
        "owned_by": "neiroha",
        "description": bank.description,
        "voices": [{"id": speaker.id, "name": speaker.name} for speaker in bank.speakers],
    }


def _voice(speaker: Speaker) -> dict[str, Any]:
    return {
        "id": speaker.id,
        "voice_id": speaker.id,
        "name": speaker.name,
        "object": "audio.voice",
        "created_at": speaker.created,
        "model": speaker.bank,
        "description": speaker.description,
        "language": speaker.language,
        "provider": speaker.provider.kind,
        "task_mode": speaker.task_mode.value,
        "aliases": list(speaker.aliases),
    }


class ModelsView(ApiView):
    http_method_names = ["get", "head"]
    is_list = True

    @extend_schema(tags=["speech"], responses=ModelsAnswer)
    async def get(self, request: Request) -> HttpResponseBase:
        models = [_model(bank) for bank in api_request.of(request).banks]
        return _reply({"object": "list", "data": models, "models": models})


class ModelView(ApiView):
    http_method_names = ["get", "head"]
    is_list = True

    @extend_schema(operation_id="model", tags=["speech"], responses=ModelAnswer)
    async def get(self, request: Request, model_id: str) -> HttpResponseBase:
        return _reply(_model(_bank_or_404(request, model_id)))


def _bank_or_404(request: Request, model_id: str) -> ActiveBank:
    bank = find_bank(api_request.of(request).banks, model_id)
    if bank is None:
        raise ModelNotFound(f"There is no model “{model_id[:100]}”: a model is the name of an active bank.")
    return bank


class ModelNotFound(SpeechError):
    status = 404
    code = "model_not_found"
    permanent = True


class VoicesView(ApiView):
    http_method_names = ["get", "head"]
    is_list = True

    @extend_schema(
        tags=["speech"],
        parameters=[OpenApiParameter("model", description="A bank's name.")],
        responses={200: VoicesAnswer, 404: ErrorSerializer},
    )
    async def get(self, request: Request) -> HttpResponseBase:
        model = request.query_params.get("model", "")
        banks = (_bank_or_404(request, model),) if model else api_request.of(request).banks
        voices = [_voice(speaker) for bank in banks for speaker in bank.speakers]
        return _reply({"object": "list", "voices": voices, "data": voices})


class SpeakersView(ApiView):
    """The bare list that SillyTavern's speaker-based providers read."""

    http_method_names = ["get", "head"]
    is_list = True

    @extend_schema(tags=["speech"], responses=SpeakerAnswer(many=True))
    async def get(self, request: Request) -> HttpResponseBase:
        banks = api_request.of(request).banks
        return _reply([_speaker(speaker) for bank in banks for speaker in bank.speakers])


def _speaker(speaker: Speaker) -> dict[str, Any]:
    return {
        "name": speaker.name,
        "voice_id": speaker.id,
        "preview_url": "",
        "lang": speaker.language,
        "model": speaker.bank,
    }


class HealthView(ApiView):
    """Free for all: no key, no limit, also while the API is off."""

    http_method_names = ["get", "head"]
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    works_when_off = True

    @extend_schema(tags=["speech"], responses=HealthAnswer)
    async def get(self, request: Request) -> HttpResponseBase:
        enabled = api_request.of(request).state.controls.api_enabled
        return _reply({"status": "ok", "api": "on" if enabled else "off"})


class UnknownPathView(ApiView):
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    schema = None

    def _refuse_early(self, request: api_request.ApiRequest) -> None:
        raise Http404
