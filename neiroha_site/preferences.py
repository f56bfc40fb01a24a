"""What each person chooses for the pages: language and time zone. The API stays English and in UTC."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.deprecation import MiddlewareMixin
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminSelectWidget

from api.models import Preferences
from neiroha_site.roles import role_of

if TYPE_CHECKING:
    from django.http.response import HttpResponseBase

    _PreferencesModelForm = forms.ModelForm[Preferences]
else:
    _PreferencesModelForm = forms.ModelForm

# The page's script writes here what the browser says.
ZONE_COOKIE = "neiroha_zone"
API_PATH = "/api/"


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


class PreferencesMiddleware(MiddlewareMixin):
    """After the session's user is known: language and time zone as chosen, else as the browser says."""

    def process_request(self, request: HttpRequest) -> None:
        if request.path.startswith(API_PATH):
            chosen = Preferences(language=settings.LANGUAGE_CODE, time_zone=settings.TIME_ZONE)
        else:
            chosen = self._chosen(request)
        if chosen.language:
            translation.activate(chosen.language)
            request.LANGUAGE_CODE = translation.get_language()
        zone = chosen.time_zone or request.COOKIES.get(ZONE_COOKIE, "")
        if zone in _zones():
            timezone.activate(ZoneInfo(zone))
        else:
            timezone.deactivate()

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        timezone.deactivate()
        return response

    @staticmethod
    def _chosen(request: HttpRequest) -> Preferences:
        found = Preferences.objects.filter(user=request.user.pk).first() if request.user.is_authenticated else None
        return found or Preferences()


class PreferencesForm(_PreferencesModelForm):
    class Meta:
        model = Preferences
        fields = ["language", "time_zone"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        automatic = ("", _("Automatic: as the browser asks"))
        self.fields["language"] = forms.ChoiceField(
            label=_("Language"),
            required=False,
            choices=[automatic, *settings.LANGUAGES],
            widget=UnfoldAdminSelectWidget(),
        )
        self.fields["time_zone"] = forms.ChoiceField(
            label=_("Time zone"),
            required=False,
            choices=[("", _("Automatic: as the browser says")), *((zone, zone) for zone in sorted(_zones()))],
            widget=UnfoldAdminSelectWidget(),
        )


def preferences(request: HttpRequest) -> HttpResponse:
    """Everybody's own, and nobody else's."""
    assert isinstance(request.user, User)  # the site lets in nobody else
    row = Preferences.objects.filter(user=request.user.pk).first() or Preferences(user=request.user)
    form = PreferencesForm(request.POST or None, instance=row)
    if request.method == "POST" and form.is_valid():
        form.save()
        # Told in the language that was just chosen.
        with translation.override(row.language or translation.get_language()):
            messages.success(request, _("Your preferences are saved."))
        return HttpResponseRedirect(reverse("admin:preferences"))
    context = {
        **admin.site.each_context(request),
        "title": _("Preferences"),
        "form": form,
        "now": timezone.now(),
        "zone": timezone.get_current_timezone_name(),
        "role": role_of(request.user),
    }
    return TemplateResponse(request, "admin/preferences.html", context)
