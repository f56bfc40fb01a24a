from __future__ import annotations

from django.urls import re_path

from api import views
from api.jobs import views as jobs

handler404 = "api.exceptions.not_found"
handler500 = "api.exceptions.server_error"

urlpatterns = [
    re_path(r"^v1/audio/speech/?$", views.SpeechView.as_view(), name="speech"),
    re_path(r"^v1/audio/voices/?$", views.VoicesView.as_view(), name="voices"),
    re_path(r"^v1/audio/models/?$", views.ModelsView.as_view(), name="audio-models"),
    re_path(r"^v1/models/?$", views.ModelsView.as_view(), name="models"),
    re_path(r"^v1/models/(?P<model_id>.+)$", views.ModelView.as_view(), name="model"),
    re_path(r"^v1/jobs/?$", jobs.JobsView.as_view(), name="jobs"),
    re_path(r"^v1/jobs/(?P<job_id>[^/]+)/?$", jobs.JobView.as_view(), name="job"),
    re_path(r"^v1/jobs/(?P<job_id>[^/]+)/retry/?$", jobs.RetryView.as_view(), name="job-retry"),
    re_path(r"^v1/jobs/(?P<job_id>[^/]+)/events/?$", jobs.EventsView.as_view(), name="job-events"),
    re_path(r"^v1/jobs/(?P<job_id>[^/]+)/audio/?$", jobs.SoundView.as_view(), name="job-audio"),
    re_path(r"^speakers/?$", views.SpeakersView.as_view(), name="speakers"),
    re_path(r"^health/?$", views.HealthView.as_view(), name="health"),
    re_path(r"", views.UnknownPathView.as_view()),
]
