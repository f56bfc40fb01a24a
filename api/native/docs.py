"""The OpenAPI schema, and the page that shows it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import include, path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.plumbing import get_lib_doc_excludes
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.native import filters, serializers, views
from api.views import ApiView


def schema() -> dict[str, Any]:
    """The whole API: the native part, and what stands under the paths of OpenAI."""
    patterns = [path("api/", include("api.native.urls")), path("", include("api.urls"))]
    generator: Any = SchemaGenerator
    found: dict[str, Any] = generator(patterns=patterns).get_schema(public=True)
    return found


def undescribed() -> list[type[Any]]:
    """Classes whose docstrings are for us: what is built on them is described by its own, or not at all."""
    ours = [found for module in (filters, serializers, views) for found in vars(module).values()]
    theirs: list[type[Any]] = get_lib_doc_excludes()  # type: ignore[no-untyped-call]
    return [*theirs, ApiView, *(found for found in ours if isinstance(found, type))]


class SchemaView(views.NativeView):
    """For everybody who may sign in, and for the keys of such people."""

    http_method_names = ["get", "head"]
    renderer_classes = (OpenApiJsonRenderer,)
    serves_limited_keys = True

    def rights(self) -> tuple[str, ...]:
        return ()

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        return Response(schema())


@require_safe
def docs_page(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    if not admin.site.has_permission(request):
        raise PermissionDenied
    return TemplateResponse(request, "api/docs.html", {"title": _("The API of this server")})
