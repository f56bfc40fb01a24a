"""Forms of people: a role in place of the matrix of rights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.forms import UserCreationForm, UsernameField
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.forms import AdminPasswordChangeForm
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminRadioSelectWidget

from neiroha_site.roles import GROUPS, Role, is_last_administrator, role_of

if TYPE_CHECKING:
    _UserModelForm = forms.ModelForm[User]
    _UserCreationForm = UserCreationForm[User]
else:
    _UserModelForm, _UserCreationForm = forms.ModelForm, UserCreationForm

_EXPLAINED = {
    Role.ADMINISTRATOR: gettext_lazy("everything, people and settings included"),
    Role.PRODUCER: gettext_lazy("banks, characters, recordings, takes and own keys"),
    Role.VIEWER: gettext_lazy("looks, and changes nothing"),
    Role.CUSTOM: gettext_lazy("only what is chosen under “Single rights”"),
}


def role_field(roles: list[Role]) -> forms.ChoiceField:
    return forms.ChoiceField(
        label=gettext_lazy("Role"),
        choices=[(role, format_lazy("{role}: {what}", role=role.label, what=_EXPLAINED[role])) for role in roles],
        widget=UnfoldAdminRadioSelectWidget(),
    )


class NewUserForm(_UserCreationForm):
    role = role_field([Role.ADMINISTRATOR, Role.PRODUCER, Role.VIEWER])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("password1", "password2"):
            self.fields[name].required = False
            self.fields[name].widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
        self.fields["password1"].help_text = _(
            "Leave both empty to get a one-time link, by which the person chooses a password."
        )
        self.fields["password2"].help_text = ""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        # Two that differ are found already.
        if bool(cleaned.get("password1")) != bool(cleaned.get("password2")) and "password2" not in self.errors:
            self.add_error("password2", ValidationError(self.error_messages["password_mismatch"]))
        return cleaned

    def set_password_and_save(self, user: User, password_field_name: str = "password1", commit: bool = True) -> User:
        if self.cleaned_data.get(password_field_name):
            user.set_password(self.cleaned_data[password_field_name])
        else:
            user.set_unusable_password()
        if commit:
            user.save()
        return user


class UserForm(_UserModelForm):
    """`editor` is who changes the person; the page sets it."""

    editor: User
    role = role_field(list(Role))

    class Meta:
        model = User
        fields = ["username", "first_name", "last_name", "email", "is_active", "groups", "user_permissions"]
        field_classes = {"username": UsernameField}
        help_texts = {"is_active": gettext_lazy("Off: no way in. Its sessions, open pages and API keys end at once.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["role"] = role_of(self.instance) or ""
        further = Group.objects.exclude(name__in=GROUPS.values())
        self.fields["groups"].queryset = further  # type: ignore[attr-defined]
        self.initial["groups"] = list(further.filter(user=self.instance))
        self.fields["user_permissions"].queryset = self.fields["user_permissions"].queryset.select_related(  # type: ignore[attr-defined]
            "content_type"
        )

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=name).exclude(pk=self.instance.pk).exists():
            raise self.instance.unique_error_message(User, ("username",))
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        demoted = cleaned.get("role") not in (None, Role.ADMINISTRATOR) and self.instance.is_superuser
        closed = not cleaned.get("is_active")
        if self.instance.pk == self.editor.pk:
            own = _("You can't do this to your own account: ask another administrator.")
            self._refuse(own, demoted=demoted, closed=closed)
        elif (demoted or closed) and is_last_administrator(self.instance):
            last = _("This is the last administrator: make another one first.")
            self._refuse(last, demoted=demoted, closed=closed)
        return cleaned

    def _refuse(self, text: str, *, demoted: bool, closed: bool) -> None:
        if demoted:
            self.add_error("role", text)
        if closed:
            self.add_error("is_active", text)


class PasswordForm(AdminPasswordChangeForm):  # type: ignore[misc]  # untyped base
    """Sets a password. To take somebody's access away, the account is deactivated."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)
