"""What must hold before this shop serves: a payment provider and a carrier are configured, and no
account has a public password."""

from collections.abc import Iterator
from functools import partial

from django.conf import settings

from eventstore.guarantees import SETTINGS, TABLES, Guarantee


def _unset(name: str) -> Iterator[tuple[()]]:
    if not getattr(settings, name):
        yield ()


def _missing_stripe_settings() -> Iterator[tuple[str]]:
    if settings.PAYMENT_GATEWAY == "stripe":
        for name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRETS"):
            if not getattr(settings, name):
                yield (name,)


def _demo_accounts() -> Iterator[tuple[str]]:
    """Only these names are checked: comparing a password takes a third of a second."""
    from django.contrib.auth.models import User

    from orders.management.commands import demo

    for user in User.objects.filter(username__in=demo.NAMES, is_active=True).order_by("username"):
        if user.check_password(demo.PASSWORD):
            yield (user.username,)


GUARANTEES = (
    Guarantee(
        finding="payment-gateway",
        id="config.E001",
        needs=SETTINGS,
        look=partial(_unset, "PAYMENT_GATEWAY"),
        what="PAYMENT_GATEWAY is not set: no payment provider is configured.",
        culprit="PAYMENT_GATEWAY",
        why=(
            "The sandbox takes no money. If it were the default, goods would be shipped without"
            " payment."
        ),
        mend="Set PAYMENT_GATEWAY=stripe, or PAYMENT_GATEWAY=sandbox for tests and demonstrations.",
    ),
    Guarantee(
        finding="carrier",
        id="config.E002",
        needs=SETTINGS,
        look=partial(_unset, "CARRIER"),
        what="CARRIER is not set: no carrier is configured.",
        culprit="CARRIER",
        why=(
            "The sandbox ships nothing. If it were the default, customers would wait for parcels"
            " that do not exist."
        ),
        mend=(
            "Set CARRIER=sandbox for tests and demonstrations; add a real carrier in"
            " shipping/carrier.py."
        ),
    ),
    Guarantee(
        finding="stripe",
        id="config.E003",
        needs=SETTINGS,
        look=_missing_stripe_settings,
        what="PAYMENT_GATEWAY is stripe, but {0} is not set.",
        culprit="{0}",
        why="Each charge would become a dead letter, or Stripe's webhooks would be rejected.",
        mend="Set {0}; Stripe's dashboard shows it.",
    ),
    Guarantee(
        finding="demo-accounts",
        id="config.E004",
        needs=TABLES,
        look=_demo_accounts,
        what="The account {0} has the public password of the demo.",
        culprit="{0}",
        why="The README shows this password, so any reader of it can log in.",
        mend="Run manage.py changepassword {0}, or delete the account.",
        waiver="ALLOW_DEMO",
        waived=lambda: bool(settings.ALLOW_DEMO),
    ),
)
