from django.apps import AppConfig, apps
from django.core.exceptions import ImproperlyConfigured


class ConsoleConfig(AppConfig):
    name = "eventstore.console"
    label = "eventstore_console"
    verbose_name = "Event store console"

    def ready(self) -> None:
        if not apps.is_installed("django.contrib.admin"):
            raise ImproperlyConfigured(
                "eventstore.console needs django.contrib.admin in INSTALLED_APPS."
            )
