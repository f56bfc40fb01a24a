from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from studio import views
from studio.audio import audio
from studio.pages import lines, projects

app_name = "studio"
_guard = admin.site.admin_view
urlpatterns = [
    path("", _guard(views.quick), name="quick"),
    path("takes/", _guard(views.takes), name="takes"),
    path("takes/act/", _guard(views.act), name="act"),
    path("takes/<int:pk>/", _guard(views.card), name="card"),
    path("takes/<int:pk>/audio", audio, name="audio"),
    path("projects/", _guard(projects.projects), name="projects"),
    path("projects/<int:pk>/", _guard(lines.project), name="project"),
    path("projects/<int:pk>/lines/", include("studio.pages.line_urls")),
]
