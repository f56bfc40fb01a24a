from __future__ import annotations

from urllib.parse import SplitResult

from corsheaders.middleware import CorsMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from api import request as api_request

EXPOSED_HEADERS = (
    "x-request-id, retry-after, x-neiroha-backend, x-neiroha-voice, x-neiroha-fallback-for, x-neiroha-sample-rate,"
    " x-neiroha-model-preset, x-neiroha-queue-ms, x-neiroha-inference-ms, x-neiroha-audio-seconds, x-neiroha-rtf,"
    " x-neiroha-cache"
)


class ApiCorsMiddleware(CorsMiddleware):
    """django-cors-headers, with the origins of the settings page, allowing whichever header a browser asks for."""

    def is_enabled(self, request: HttpRequest) -> bool:
        return True

    def check_signal(self, request: HttpRequest) -> bool:
        return False

    def origin_found_in_white_lists(self, origin: str, url: SplitResult) -> bool:
        return True  # decided in add_response_headers, which knows the request

    def add_response_headers(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        origins = api_request.of(request).state.controls.cors_origins
        origin = request.META.get("HTTP_ORIGIN", "")
        if "*" not in origins and origin.lower() not in origins:
            response["vary"] = "origin"
            return response
        super().add_response_headers(request, response)
        if response.has_header("access-control-allow-origin"):
            if "*" in origins:
                response["access-control-allow-origin"] = "*"
            response["access-control-expose-headers"] = EXPOSED_HEADERS
            asked = request.headers.get("access-control-request-headers")
            if request.method == "OPTIONS" and asked:
                response["access-control-allow-headers"] = asked
        return response
