from django.apps import AppConfig


class MessagingConfig(AppConfig):
    """The commands of a project with brokers. The tables are those of the app `eventstore`."""

    name = "eventstore.messaging"
    label = "eventstore_messaging"
    verbose_name = "Event store: brokers"
