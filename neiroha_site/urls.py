from __future__ import annotations

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from banks.views import avatar, reference
from neiroha_site.setup import SetupView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("setup", SetupView.as_view(), name="setup"),
    path("media/avatars/<int:pk>", avatar, name="avatar"),
    path("media/references/<int:pk>", reference, name="reference"),
]
