from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate


class SiteConfig(AppConfig):
    name = "neiroha_site"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from neiroha_site import checks  # noqa: F401 - importing registers them
        from neiroha_site.roles import update_groups
        from providers import accounts

        accounts.connect()
        if settings.REDIS_URL:
            from neiroha_site import celery  # noqa: F401 - importing makes it the app that messages are sent by
        post_migrate.connect(update_groups, sender=self, dispatch_uid="neiroha-roles")
