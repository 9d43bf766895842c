from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    """The command of a project with webhooks. The tables are those of the app `eventstore`."""

    name = "eventstore.webhooks"
    label = "eventstore_webhooks"
    verbose_name = "Event store: webhooks"
