from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "neiroha_site"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from neiroha_site import checks  # noqa: F401 - importing registers them
