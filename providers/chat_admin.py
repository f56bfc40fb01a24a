"""The page of the chat model, for administrators."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.db.models.functions import Length
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from providers.admin_base import SingleRowAdmin
from providers.chat_calls import check
from providers.engine import Engine, ask_engine
from providers.key_form import StoredKeyForm, stored_key_length
from providers.live_checks import LiveChecks
from providers.models import ChatModel, ChatSetup

if TYPE_CHECKING:
    _ChatModelForm = forms.ModelForm[ChatModel]
else:
    _ChatModelForm = forms.ModelForm

# Somebody waits in front of the page, behind which the model may think for as long as its own limit allows.
PATIENCE = 60.0
_IDENTITY = {"base_url", "model", "answer_format", "key", "remove_key"}


class ChatModelForm(_ChatModelForm, StoredKeyForm):
    class Meta:
        model = ChatModel
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self._clean_key(cleaned, needed=False)
        return cleaned


def _tested(setup: ChatSetup) -> str:
    """What is wrong with it, empty where nothing is."""

    async def limited(engine: Engine) -> str:
        try:
            async with asyncio.timeout(PATIENCE):
                return await check(engine, setup)
        except TimeoutError:
            return _("It did not answer within %d seconds.") % PATIENCE

    return ask_engine(limited)


@admin.register(ChatModel)
class ChatModelAdmin(LiveChecks[ChatModel], SingleRowAdmin[ChatModel]):
    form = ChatModelForm
    readonly_fields = ["key_state"]
    change_form_outer_before_template = "admin/providers/chatmodel/panel.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChatModel]:
        return super().get_queryset(request).annotate(key_length=Length("api_key"))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.test_view)
        return [path("<path:object_id>/test/", view, name="providers_chatmodel_test"), *super().get_urls()]

    def get_fieldsets(self, request: HttpRequest, obj: ChatModel | None = None) -> Any:
        key = ["key_state", "key", "remove_key"] if stored_key_length(obj) else ["key"]
        if not self.has_change_permission(request, obj):
            key = ["key_state"]
        limits = [
            ("max_concurrency", "timeout_seconds"),
            ("requests_per_minute", "requests_per_day"),
            "time_zone",
            "window_characters",
        ]
        return [
            (None, {"fields": ["enabled", "base_url", "model", *key, "answer_format"]}),
            (_("Limits"), {"fields": limits}),
        ]

    def save_model(self, request: HttpRequest, obj: ChatModel, form: Any, change: bool) -> None:
        if _IDENTITY & set(form.changed_data):
            obj.forget_what_was_learned()
        super().save_model(request, obj, form, change)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        row: ChatModel | None = context.get("original")
        if row is not None:
            context |= {"mark": _mark(row), "may_press": self.has_change_permission(request, row)}
            context["testable"] = bool(row.base_url and row.model)
        return super().render_change_form(request, context, *args, **kwargs)

    def test_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_change_permission(request):
            raise PermissionDenied
        if problem := _tested(ChatModel.load().setup()):
            self.message_user(request, problem, messages.ERROR)
        else:
            self.message_user(request, _("The chat model works."), messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:providers_chatmodel_change", args=[1]))

    @admin.display(description=gettext_lazy("stored key"))
    def key_state(self, row: ChatModel) -> str:
        return _("A key is stored.") if stored_key_length(row) else _("No key is stored.")


def _mark(row: ChatModel) -> SafeString:
    """A light with its meaning in words."""
    tone, word = "ok", _("Works")
    if row.checked_at is None:
        tone, word = "none", _("Not tested yet")
    elif row.problem:
        tone, word = "bad", _("Does not work")
    return format_html('<span class="nr-light nr-light-{}">{}</span>', tone, word)
