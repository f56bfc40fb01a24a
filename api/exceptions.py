"""Every failure under the API in one shape: {"error": {"message", "type", "param", "code"}}."""

from __future__ import annotations

import logging
import math
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions as drf
from rest_framework.response import Response

from banks.storage import StorageUnavailable, translated
from providers.errors import SpeechError

logger = logging.getLogger(__name__)

# Clients wait as long as they are told, and some give up above this.
MAX_RETRY_AFTER = 60

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class BodyTooLarge(drf.APIException):
    status_code = 413
    default_code = "body_too_large"


class ApiSwitchedOff(drf.APIException):
    status_code = 503
    default_code = "api_off"
    default_detail = "The API is switched off in the server settings."


def error_type(status: int) -> str:
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")


def error_body(status: int, message: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": error_type(status), "param": param, "code": code}}


def error_response(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    retry_after: float | None = None,
    should_retry: bool | None = None,
) -> JsonResponse:
    response = JsonResponse(error_body(status, message, param=param, code=code), status=status)
    if retry_after is not None:
        response["Retry-After"] = str(min(max(math.ceil(retry_after), 1), MAX_RETRY_AFTER))
    if should_retry is not None:
        response["x-should-retry"] = "true" if should_retry else "false"
    return response


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook. An answer for every exception: what nobody foresaw is logged, and told without details."""
    response = _respond(exc)
    if response is None:
        logger.error("Unforeseen failure in the API", exc_info=exc)
        response = error_response(500, "Something went wrong here; the server's log says what.", code="internal_error")
    for name, value in _extra_headers(exc).items():
        response[name] = value
    return response  # type: ignore[return-value]  # any HttpResponse will do


def _respond(exc: Exception) -> JsonResponse | None:
    match exc:
        case StorageUnavailable():
            return _from_speech_error(translated(exc))
        case SpeechError():
            return _from_speech_error(exc)
        case drf.ValidationError():
            return _from_validation_error(exc)
        case drf.Throttled():
            wait = math.ceil(getattr(exc, "wait", None) or 1)
            return error_response(
                429,
                f"Too many requests. Try again in {wait} seconds.",
                code="rate_limit_exceeded",
                retry_after=wait,
                should_retry=True,
            )
        case drf.APIException():
            retry_after = 30 if exc.status_code == 503 else None
            return error_response(
                exc.status_code, str(exc.detail), code=_code(exc), retry_after=retry_after, should_retry=_retry(exc)
            )
        case Http404():
            return error_response(404, "There is nothing at this address.", code="not_found")
        case PermissionDenied():
            return error_response(403, "This is not allowed.", code="permission_denied")
        case RequestDataTooBig() | SuspiciousOperation():
            return error_response(400, "The request could not be read.", code="bad_request")
    return None


def _code(exc: drf.APIException) -> str:
    code = exc.get_codes()
    return code if isinstance(code, str) else str(exc.default_code)


def _retry(exc: drf.APIException) -> bool | None:
    return False if exc.status_code == 503 else None


def _from_speech_error(exc: SpeechError) -> JsonResponse:
    # What the official clients try again by themselves.
    retriable = exc.status in (409, 429, 500, 502, 503)
    return error_response(
        exc.status,
        exc.message,
        param=exc.param,
        code=exc.code,
        retry_after=exc.retry_after if exc.status in (409, 429, 503) else None,
        should_retry=not exc.permanent if retriable else None,
    )


def _from_validation_error(exc: drf.ValidationError) -> JsonResponse:
    """The first problem found, with the field's name as `param`."""
    param: str | None = None
    detail: Any = exc.detail
    while isinstance(detail, (dict, list)) and detail:
        if isinstance(detail, dict):
            name, detail = next(iter(detail.items()))
            param = param or (None if name == "non_field_errors" else str(name))
        else:
            detail = detail[0]
    missing = getattr(detail, "code", "") in ("required", "blank")
    return error_response(400, str(detail), param=param, code="missing_value" if missing else "invalid_value")


def _extra_headers(exc: Exception) -> dict[str, str]:
    header = getattr(exc, "auth_header", None)
    return {"WWW-Authenticate": header} if header else {}


def not_found(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    return error_response(404, "There is nothing at this address.", code="not_found")


def server_error(request: HttpRequest) -> JsonResponse:
    return error_response(500, "Something went wrong here; the server's log says what.", code="internal_error")
