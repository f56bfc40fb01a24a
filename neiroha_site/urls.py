from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from banks.listen import listen
from banks.views import avatar, reference
from neiroha_site.setup import SetupView

handler400 = "api.native.errors.bad_request"
handler500 = "api.native.errors.server_error"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/listen/<int:pk>/", listen, name="listen"),
    path("admin/", admin.site.urls),
    path("api/", include("api.native.urls")),
    path("setup", SetupView.as_view(), name="setup"),
    path("studio/", include("studio.urls")),
    path("media/avatars/<int:pk>", avatar, name="avatar"),
    path("media/references/<int:pk>", reference, name="reference"),
]
