"""Static files, read whole in the middleware's own thread.

WhiteNoise answers with a synchronous iterator; under ASGI Django reads that into memory too, but warns about it.
"""

from __future__ import annotations

from contextlib import closing

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import Redirect, StaticFile


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]  # untyped base
    @staticmethod
    def serve(static_file: StaticFile | Redirect, request: HttpRequest) -> HttpResponse:
        found = static_file.get_response(request.method, request.META)
        content = b""
        if found.file is not None:
            with closing(found.file) as file:
                content = file.read()
        response = HttpResponse(content, status=int(found.status))
        # It names the type itself, and only where there is content.
        del response["Content-Type"]
        for name, value in found.headers:
            response[name] = value
        return response
