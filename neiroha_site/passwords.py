"""Passwords: the own one, and the one-time link by which somebody chooses a first or a new one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.contrib.auth.views import PasswordChangeView, PasswordResetConfirmView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse, reverse_lazy
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop
from unfold.forms import AdminOwnPasswordChangeForm
from unfold.widgets import BASE_INPUT_CLASSES

from neiroha_site.guessing import attempt, for_password, forgive
from neiroha_site.sign_in import TooManyFailures, address_of, record_failure
from providers.audit import Change, record


def one_time_link(request: HttpRequest, person: User) -> str:
    """Works until the person signs in or gets another password, at most for PASSWORD_RESET_TIMEOUT."""
    account = urlsafe_base64_encode(force_bytes(person.pk))
    path = reverse("admin:choose_password", args=[account, default_token_generator.make_token(person)])
    return settings.PUBLIC_URL + path if settings.PUBLIC_URL else request.build_absolute_uri(path)


class ChoosePasswordForm(SetPasswordForm[User]):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs["class"] = " ".join(BASE_INPUT_CLASSES)
        self.fields["new_password2"].help_text = ""


class ChoosePassword(PasswordResetConfirmView):
    """Behind the one-time link. The token moves from the address into the session before anything is shown."""

    form_class = ChoosePasswordForm
    template_name = "people/choose_password.html"
    title = gettext_lazy("Choose your password")
    success_url = reverse_lazy("admin:login")

    def get_user(self, uidb64: str) -> User | None:
        person = super().get_user(uidb64)
        return person if person is not None and person.is_active else None

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        record(form.user, form.user, Change.CHANGED, gettext_noop("Chose a password by a one-time link."))
        messages.success(self.request, _("Your password is set. Sign in with it."))
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return admin.site.each_context(self.request) | super().get_context_data(**kwargs)

    def render_to_response(self, context: dict[str, Any], **response_kwargs: Any) -> HttpResponse:
        """A link that no longer works is not a page that is found."""
        return super().render_to_response(context, status=200 if self.validlink else 404, **response_kwargs)


class OwnPasswordForm(AdminOwnPasswordChangeForm):  # type: ignore[misc]  # untyped base
    """Whoever sits at somebody's open browser can't try old passwords for long either."""

    def __init__(self, user: User, *args: Any, address: str, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self.address = address

    def clean_old_password(self) -> str:
        counter = for_password(self.user.pk)
        made = attempt([counter])
        if made.wait:
            raise TooManyFailures(made.wait)
        try:
            old: str = super().clean_old_password()
        except ValidationError:
            record_failure(self.user, made, gettext_noop("The old password was wrong."), self.address)
            raise
        forgive(made, wholly=counter)
        return old


class OwnPassword(PasswordChangeView):
    form_class = OwnPasswordForm
    success_url = reverse_lazy("admin:password_change_done")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "address": address_of(self.request)}

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        record(form.user, form.user, Change.CHANGED, gettext_noop("Changed the own password."))
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return admin.site.each_context(self.request) | super().get_context_data(**kwargs)
