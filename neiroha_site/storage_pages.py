"""What a page says while the file storage can't be used."""

from __future__ import annotations

import logging

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.deprecation import MiddlewareMixin
from django.utils.translation import gettext as _

from banks.storage import StorageError, StorageUnavailable, translated

logger = logging.getLogger(__name__)


class StorageMiddleware(MiddlewareMixin):
    def process_exception(self, request: HttpRequest, exception: Exception) -> TemplateResponse | None:
        if isinstance(exception, StorageUnavailable):
            exception = translated(exception)
        if not isinstance(exception, StorageError):
            return None
        logger.error("%s could not be answered: %s", request.path, exception.message)
        context = {
            **admin.site.each_context(request),
            "title": _("Files can't be used now"),
            "reason": exception.message,
        }
        return TemplateResponse(request, "admin/storage_unavailable.html", context, status=503)
