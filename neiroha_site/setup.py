"""The page behind the one-time set-up link: it makes the first administrator and is gone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import login
from django.contrib.auth.forms import UserCreationForm
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop
from django.views import View
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from unfold.widgets import BASE_INPUT_CLASSES

from neiroha_site.first_run import SetupToken, create_administrator, has_administrator
from providers.audit import Change, record


class SetupForm(UserCreationForm):  # type: ignore[type-arg]  # generic in its stubs only
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs["class"] = " ".join(BASE_INPUT_CLASSES)
        self.fields["username"].widget.attrs["autocomplete"] = "username"
        self.fields["username"].help_text = ""
        self.fields["password2"].help_text = ""


# The token is what proves the sender; and a browser that sends no referrer names no origin to compare either.
@method_decorator(csrf_exempt, name="dispatch")
@method_decorator(cache_control(no_store=True), name="dispatch")
@method_decorator(sensitive_post_parameters(), name="dispatch")
class SetupView(View):
    http_method_names = ["get", "head", "post"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not SetupToken().matches(request.GET.get("token", "")):
            raise Http404
        if has_administrator():
            SetupToken().consume()
            raise Http404
        response = super().dispatch(request, *args, **kwargs)
        # The token stands in the address: no other site may learn it.
        response["Referrer-Policy"] = "no-referrer"
        assert isinstance(response, HttpResponse)
        return response

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(request, SetupForm(initial={"username": "admin"}))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = SetupForm(request.POST)
        if not form.is_valid():
            return self._page(request, form)
        user = form.save(commit=False)
        if not create_administrator(user):
            raise Http404
        record(user, user, Change.ADDED, gettext_noop("The first administrator, by the set-up link."))
        login(request, user)
        return redirect("admin:index")

    def _page(self, request: HttpRequest, form: SetupForm) -> HttpResponse:
        context = admin.site.each_context(request) | {"form": form, "title": _("Set up"), "site_url": None}
        return render(request, "setup/setup.html", context)
