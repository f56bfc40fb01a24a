"""Addresses below those of a project's lines."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from studio.pages import cues, line_actions

_guard = admin.site.admin_view
urlpatterns = [
    path("add/", _guard(line_actions.add), name="line_add"),
    path("cues/", _guard(cues.cues), name="cues"),
    path("act/", _guard(line_actions.act), name="line_act"),
    path("<int:line_pk>/", _guard(line_actions.edit), name="line_edit"),
]
