from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BanksConfig(AppConfig):
    name = "banks"
    verbose_name = _("Voices")

    def ready(self) -> None:
        from providers.versions import track

        for name in ("Bank", "Character", "Membership", "Pronunciation", "ReferenceAudio"):
            track(self.get_model(name))
