from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ProvidersConfig(AppConfig):
    name = "providers"
    verbose_name = _("Connections")

    def ready(self) -> None:
        from providers.versions import track

        track(self.get_model("Provider"))
