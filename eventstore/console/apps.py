from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "eventstore.console"
    label = "eventstore_console"
    verbose_name = "Event store console"
