"""What Django answers before any view of ours runs: under /api/ in the API's shape, elsewhere as Django does."""

from __future__ import annotations

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.views import defaults

from api.exceptions import error_response
from api.exceptions import server_error as api_server_error
from api.native.entrance import is_native_path


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not is_native_path(request.path_info):
        return defaults.bad_request(request, exception)
    if isinstance(exception, DisallowedHost):
        message = "This server does not answer to this name; add it to NEIROHA_ALLOWED_HOSTS."
        return error_response(400, message, code="host_not_allowed")
    return error_response(400, "The request could not be read.", code="bad_request")


def server_error(request: HttpRequest) -> HttpResponse:
    return api_server_error(request) if is_native_path(request.path_info) else defaults.server_error(request)
