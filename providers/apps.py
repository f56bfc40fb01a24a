import atexit

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ProvidersConfig(AppConfig):
    name = "providers"
    verbose_name = _("Connections")

    def ready(self) -> None:
        from providers.database import close_pools, close_threads
        from providers.versions import track

        # Of any command, however it ends.
        atexit.register(close_pools)
        atexit.register(close_threads)
        track(self.get_model("Provider"))
