"""A project's own pronunciation rules, and what they make of a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from banks.dictionary_pages import TryForm
from studio import events
from studio.freshness import refresh, rules_of
from studio.line_forms import is_key
from studio.models import Project, ProjectPronunciation
from studio.pages.project import project_of, project_page

if TYPE_CHECKING:
    _RuleForm = forms.ModelForm[ProjectPronunciation]
else:
    _RuleForm = forms.ModelForm


class RuleForm(_RuleForm):
    class Meta:
        model = ProjectPronunciation
        fields = ["written", "spoken", "language", "is_pattern", "match_case"]
        widgets = {
            **dict.fromkeys(("written", "spoken", "language"), UnfoldAdminTextInputWidget),
            **dict.fromkeys(("is_pattern", "match_case"), UnfoldBooleanWidget),
        }

    def _get_validation_exclusions(self) -> set[str]:
        """The project is not a field, but a word has one rule in it."""
        return super()._get_validation_exclusions() - {"project"}  # type: ignore[misc,no-any-return]


@require_http_methods(["GET", "HEAD", "POST"])
def pronunciation(request: HttpRequest, pk: int) -> HttpResponse:
    project = project_of(request, pk, "change" if request.method == "POST" else "view")
    form = RuleForm(instance=ProjectPronunciation(project=project))
    if request.method == "POST":
        name, _colon, rule = request.POST.get("act", "add").partition(":")
        if name == "add":
            form = RuleForm(request.POST, instance=ProjectPronunciation(project=project))
            if form.is_valid():
                form.save()
                return _changed(request, project)
        else:
            chosen = project.pronunciations.filter(pk=int(rule) if is_key(rule) else 0)
            if not chosen.exists():
                messages.warning(request, _("It is not there any more."))
            _act(chosen, name)
            return _changed(request, project)
    trial = TryForm(request.GET)
    context: dict[str, Any] = {
        "rules": project.pronunciations.all(),
        "rule_form": form,
        "form": trial,
        "action": request.path,
        **trial.tried(rules_of(project)),
    }
    return project_page(request, project, "pronunciation", context)


def _act(chosen: Any, name: str) -> None:
    if name == "delete":
        chosen.delete()
    elif name in ("on", "off"):
        chosen.update(enabled=name == "on")


def _changed(request: HttpRequest, project: Project) -> HttpResponse:
    if touched := refresh(project):
        text = ngettext("%d line is spoken otherwise now.", "%d lines are spoken otherwise now.", touched)
        messages.info(request, text % touched)
        events.announce(project.pk, structure=True)
    return HttpResponseRedirect(reverse("studio:project-pronunciation", args=[project.pk]))
