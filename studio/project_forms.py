"""Forms of projects: a new one, its settings, its people, and the search in the list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from banks.models import Bank
from banks.uploads import CoverField
from providers.key_choices import KeyChoices
from studio.kinds import kinds
from studio.models import Project, ProjectQuerySet
from studio.projects import people, share

if TYPE_CHECKING:
    _ProjectModelForm = forms.ModelForm[Project]
else:
    _ProjectModelForm = forms.ModelForm


class SettingsForm(_ProjectModelForm):
    class Meta:
        model = Project
        fields: tuple[str, ...] = ("name", "author", "bank", "language", "format", "reuse")
        widgets = {
            "name": UnfoldAdminTextInputWidget,
            "author": UnfoldAdminTextInputWidget,
            "bank": UnfoldAdminSelectWidget,
            "language": UnfoldAdminTextInputWidget({"placeholder": "en"}),
            "format": UnfoldAdminSelectWidget,
            "reuse": UnfoldBooleanWidget,
        }
        help_texts = {
            "bank": gettext_lazy("Its characters are offered first, and names of a script are looked for among them."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        bank: Any = self.fields["bank"]
        bank.queryset = Bank.objects.filter(Q(archived_at=None) | Q(pk=self.instance.bank_id))
        bank.empty_label = _("No bank: all characters alike")

    def clean_language(self) -> str:
        language = str(self.cleaned_data["language"]).strip()
        if language and not all(part.isascii() and part.isalnum() for part in language.replace("_", "-").split("-")):
            raise ValidationError(_("This is no language: write en, de or zh-CN, or nothing."))
        return language


class CoverForm(forms.Form):
    cover = CoverField(required=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not cleaned.get("cover") and "remove" not in self.data and not self.errors:
            self.add_error("cover", _("Choose a picture."))
        return cleaned


class NewProjectForm(SettingsForm):
    kind = forms.ChoiceField(label=gettext_lazy("Kind"), widget=UnfoldAdminRadioSelectWidget)

    class Meta(SettingsForm.Meta):
        fields = ("name", "bank", "language", "format")

    field_order = ("kind", "name", "bank", "language", "format")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(name, one.label) for name, one in kinds().items()]
        self.fields["kind"].choices = choices  # type: ignore[attr-defined]
        self.initial.setdefault("kind", choices[0][0])
        self.initial.setdefault("bank", Bank.objects.present().filter(active=True).first())

    def made_for(self, owner: Any) -> Project:
        self.instance.kind = self.cleaned_data["kind"]
        self.instance.owner = owner
        return self.save()


class PeopleForm(forms.Form):
    """Owner and members, for those who manage the project."""

    owner = forms.ModelChoiceField(
        label=gettext_lazy("Owner"),
        queryset=User.objects.none(),
        empty_label=None,
        widget=UnfoldAdminSelectWidget,
        help_text=gettext_lazy("Manages people and may delete the project. Whoever owned it stays a member."),
    )
    members = KeyChoices(
        label=gettext_lazy("Members"),
        queryset=User.objects.none(),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    def __init__(self, project: Project, data: Any = None) -> None:
        self.project = project
        before = list(project.members.values_list("pk", flat=True))
        super().__init__(data, initial={"owner": project.owner_id, "members": before})
        known = Q(pk__in=people().values("pk")) | Q(pk=project.owner_id) | Q(pk__in=before)
        everybody = User.objects.filter(known).order_by("username")
        self.fields["owner"].queryset = everybody  # type: ignore[attr-defined]
        self.fields["members"].queryset = everybody.exclude(pk=project.owner_id)  # type: ignore[attr-defined]

    def store(self) -> list[str]:
        """The names of what it changes."""
        return share(self.project, self.cleaned_data["owner"], list(self.cleaned_data["members"]))


class ProjectFilter(forms.Form):
    """Filters that stand in the address; one that holds nothing sensible filters nothing."""

    q = forms.CharField(
        label=gettext_lazy("Search"),
        required=False,
        widget=UnfoldAdminTextInputWidget({"type": "search", "placeholder": gettext_lazy("Name or bank")}),
    )
    kind = forms.ChoiceField(label=gettext_lazy("Kind"), required=False, widget=UnfoldAdminSelectWidget)
    whose = forms.ChoiceField(
        label=gettext_lazy("Whose"),
        required=False,
        choices=[("", gettext_lazy("All")), ("mine", gettext_lazy("Mine")), ("shared", gettext_lazy("Others'"))],
        widget=UnfoldAdminSelectWidget,
    )

    def __init__(self, data: Any, user: Any) -> None:
        super().__init__(data)
        self.user = user
        choices = [("", _("All")), *((name, one.label) for name, one in kinds().items())]
        self.fields["kind"].choices = choices  # type: ignore[attr-defined]

    def found(self, projects: ProjectQuerySet) -> ProjectQuerySet:
        self.is_valid()
        asked = self.cleaned_data
        if words := asked.get("q"):
            projects = projects.filter(Q(name__icontains=words) | Q(bank__name__icontains=words))
        if kind := asked.get("kind"):
            projects = projects.filter(kind=kind)
        if whose := asked.get("whose"):
            mine = Q(owner_id=self.user.pk)
            projects = projects.filter(mine if whose == "mine" else ~mine)
        return projects
