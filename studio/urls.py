from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from studio import views
from studio.audio import audio
from studio.pages import (
    cast,
    desktop,
    exports,
    footage,
    importing,
    lines,
    project_settings,
    projects,
    pronunciation,
    reading,
    suggestions,
)

app_name = "studio"
_guard = admin.site.admin_view
urlpatterns = [
    path("", _guard(views.quick), name="quick"),
    path("takes/", _guard(views.takes), name="takes"),
    path("takes/act/", _guard(views.act), name="act"),
    path("takes/<int:pk>/", _guard(views.card), name="card"),
    path("takes/<int:pk>/audio", audio, name="audio"),
    path("projects/", _guard(projects.projects), name="projects"),
    path("desktop/", _guard(desktop.desktop), name="desktop"),
    path("projects/new/", _guard(projects.add), name="new"),
    path("projects/<int:pk>/", _guard(lines.project), name="project"),
    path("projects/<int:pk>/import/", _guard(importing.import_text), name="import"),
    path("projects/<int:pk>/import/preview/", _guard(importing.preview), name="import_preview"),
    path("projects/<int:pk>/cast/", _guard(cast.cast), name="cast"),
    path("projects/<int:pk>/cast/<int:character>/listen/", cast.listen, name="cast_listen"),
    path("projects/<int:pk>/suggestions/", _guard(suggestions.suggestions), name="suggestions"),
    path("projects/<int:pk>/suggestions/act/", _guard(suggestions.act), name="suggestions_act"),
    path("projects/<int:pk>/suggestions/<int:run>/", _guard(suggestions.run), name="suggestion_run"),
    path("projects/<int:pk>/exports/", _guard(exports.exports), name="exports"),
    path("projects/<int:pk>/exports/<int:export>/", _guard(exports.export), name="export"),
    path("projects/<int:pk>/exports/<int:export>/act/", _guard(exports.act), name="export_act"),
    path("projects/<int:pk>/exports/<int:export>/file", exports.file, name="export_file"),
    path("projects/<int:pk>/footage/", _guard(footage.footage), name="footage"),
    path("projects/<int:pk>/footage/file", footage.file, name="footage_file"),
    path("projects/<int:pk>/footage/remove/", _guard(footage.remove), name="footage_remove"),
    path("projects/<int:pk>/footage/uploads/", _guard(footage.upload), name="upload"),
    path("projects/<int:pk>/footage/uploads/<str:token>/", _guard(footage.upload_part), name="upload_part"),
    path("projects/<int:pk>/footage/uploads/<str:token>/end/", _guard(footage.upload_end), name="upload_end"),
    path("projects/<int:pk>/settings/", _guard(project_settings.settings), name="settings"),
    path("projects/<int:pk>/cover/", _guard(project_settings.set_cover), name="set_cover"),
    path("projects/<int:pk>/cover", project_settings.cover, name="cover"),
    path("projects/<int:pk>/people/", _guard(project_settings.people), name="people"),
    path("projects/<int:pk>/copy/", _guard(project_settings.copy_project), name="copy"),
    path("projects/<int:pk>/delete/", _guard(project_settings.delete_project), name="delete"),
    path("projects/<int:pk>/pronunciation/", _guard(pronunciation.pronunciation), name="project-pronunciation"),
    path("projects/<int:pk>/read/", _guard(reading.read), name="read"),
    path("projects/<int:pk>/read/act/", _guard(reading.act), name="read_act"),
    path("projects/<int:pk>/read/ahead/", _guard(reading.ahead), name="read_ahead"),
    path("projects/<int:pk>/read/place/", _guard(reading.place), name="read_place"),
    path("projects/<int:pk>/lines/", include("studio.pages.line_urls")),
]
