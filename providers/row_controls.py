"""Lists whose rows have a switch, and an order that is changed by dragging or by buttons."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.utils import label_for_field
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.forms import ModelForm
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from providers.admin_base import ArchivableAdmin
from providers.archive import Archivable
from providers.audit import Change, record
from providers.order import last_position, set_order, shift

SWITCHED = {True: gettext_noop("Switched on."), False: gettext_noop("Switched off.")}
MOVED = gettext_noop("Moved in the order.")
# With anything else in the address, the list is not the whole list in its own order.
_WHOLE = frozenset({"p", "all"})
_MOST = 1000


class RowControlsAdmin[M: Archivable](ArchivableAdmin[M]):
    """Needs the fields `position` and `switch_field`, and “switch” in `list_display`.

    The buttons are part of the list's own form, which brings the CSRF token, and work without script; order.js adds
    the dragging.
    """

    switch_field: ClassVar[str]

    def may_switch(self, row: M) -> bool:
        """Whether the row has a switch at all, for those who may change it."""
        return row.archived_at is None

    def switched_text(self, row: M, *, on: bool) -> str:
        """What it means, for the message."""
        return (_("“%s” is switched on.") if on else _("“%s” is switched off.")) % row

    def get_urls(self) -> list[URLPattern]:
        guard, name = self.admin_site.admin_view, f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("order/", guard(self.order_view), name=f"{name}_order"),
            path("<path:object_id>/switch/", guard(self.switch_view), name=f"{name}_switch"),
            path("<path:object_id>/shift/", guard(self.shift_view), name=f"{name}_shift"),
            *super().get_urls(),
        ]

    def save_model(self, request: HttpRequest, obj: M, form: ModelForm[M], change: bool) -> None:
        if not change and "position" not in form.fields:
            obj.position = last_position(self.model) + 1  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    # The list.

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        shown = list(super().get_list_display(request))
        if not self.has_change_permission(request):
            return [self.switch_field if name == "switch" else name for name in shown]
        return [*([] if set(request.GET) - _WHOLE else ["order_buttons"]), *shown]

    def get_list_display_links(self, request: HttpRequest, list_display: Any) -> Any:
        """By default the first column is the link: of those that are not buttons."""
        return super().get_list_display_links(request, [name for name in list_display if name != "order_buttons"])

    @admin.display(description=gettext_lazy("on"))
    def switch(self, row: M) -> SafeString | str:
        on = bool(getattr(row, self.switch_field))
        if not self.may_switch(row):
            return _("Archived") if row.archived_at is not None else "–"
        label = {"name": row, "field": label_for_field(self.switch_field, self.model, self)}
        return format_html(
            '<button class="nr-switch" type="submit" id="nr-switch-{}" role="switch" aria-checked="{}" aria-label="{}"'
            ' name="{}" value="{}" formaction="{}">{}</button>',
            row.pk,
            "true" if on else "false",
            _("%(name)s: %(field)s") % label,
            self.switch_field,
            "off" if on else "on",
            self._url("switch", row),
            _("On") if on else _("Off"),
        )

    @admin.display(description=gettext_lazy("order"))
    def order_buttons(self, row: M) -> SafeString:
        return format_html(
            '<span class="nr-order" data-nr-order="{}" data-nr-order-url="{}">'
            '<span class="nr-handle material-symbols-outlined" title="{}" aria-hidden="true" hidden>'
            "drag_indicator</span>{}{}</span>",
            row.pk,
            reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_order"),
            _("Drag to change the order"),
            self._step(row, "up", -1, "↑", _("Move %s up") % row),
            self._step(row, "down", 1, "↓", _("Move %s down") % row),
        )

    def _step(self, row: M, way: str, by: int, sign: str, label: str) -> SafeString:
        return format_html(
            '<button class="nr-step" type="submit" id="nr-{}-{}" name="by" value="{}" formaction="{}" aria-label="{}">'
            "{}</button>",
            *(way, row.pk, by, self._url("shift", row), label, sign),
        )

    def _url(self, view: str, row: M) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{view}", args=[row.pk])

    # The buttons' work.

    def switch_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = self._found(request, object_id)
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        wanted = request.POST.get(self.switch_field)
        if wanted not in ("on", "off"):
            return HttpResponseBadRequest(_("Send “%s” as on or off.") % self.switch_field)
        on = wanted == "on"
        if bool(getattr(row, self.switch_field)) != on:
            with transaction.atomic():
                setattr(row, self.switch_field, on)
                row.save(update_fields=[self.switch_field, "updated_at"])
                record(request.user, row, Change.CHANGED, SWITCHED[on])
        self.message_user(request, self.switched_text(row, on=on), messages.SUCCESS)
        return self._back(request, f"nr-switch-{row.pk}")

    def shift_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """One place up or down among all rows, those of other pages too."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = self._found(request, object_id)
        if not self.has_change_permission(request) or row.archived_at is not None:
            raise PermissionDenied
        up = request.POST.get("by") == "-1"
        with transaction.atomic():
            if shift(row, -1 if up else 1) is not None:
                record(request.user, row, Change.CHANGED, MOVED)
        return self._back(request, f"nr-{'up' if up else 'down'}-{row.pk}")

    def order_view(self, request: HttpRequest) -> HttpResponse:
        """For the page's script: the list as it stands there, after a row was dragged."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_change_permission(request):
            raise PermissionDenied
        wanted = [int(pk) for pk in request.POST.getlist("pk")[:_MOST] if pk.isdecimal() and len(pk) < 19]
        with transaction.atomic():
            moved = set_order(self.model, wanted)
            if moved is not None:
                record(request.user, moved, Change.CHANGED, MOVED)
        return HttpResponse(status=204)

    def _back(self, request: HttpRequest, focused: str) -> HttpResponse:
        """To the list as it was filtered, and to the button that was pressed."""
        before = request.headers.get("referer", "")
        if not url_has_allowed_host_and_scheme(before, {request.get_host()}, require_https=request.is_secure()):
            before = self._list_url(request)
        return HttpResponseRedirect(f"{before.partition('#')[0]}#{focused}")
