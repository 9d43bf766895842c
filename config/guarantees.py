"""What this shop's promises rest on: who takes the money and carries the parcels is said, and no
password is public."""

from collections.abc import Iterator
from functools import partial

from django.conf import settings

from eventstore.guarantees import SETTINGS, TABLES, Guarantee


def _unset(name: str) -> Iterator[tuple[()]]:
    if not getattr(settings, name):
        yield ()


def _what_stripe_lacks() -> Iterator[tuple[str]]:
    if settings.PAYMENT_GATEWAY == "stripe":
        for name in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRETS"):
            if not getattr(settings, name):
                yield (name,)


def _accounts_of_the_demo() -> Iterator[tuple[str]]:
    """Only of these names: a password takes a third of a second to compare."""
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
        look=_what_stripe_lacks,
        what="PAYMENT_GATEWAY is stripe, and {0} is not set.",
        culprit="{0}",
        why=(
            "Each charge would become a dead letter, or what Stripe tells by itself would be turned"
            " away."
        ),
        mend="Set {0}, from Stripe's dashboard.",
    ),
    Guarantee(
        finding="demo-accounts",
        id="config.E004",
        needs=TABLES,
        look=_accounts_of_the_demo,
        what="The account {0} has the demo's password, which is public.",
        culprit="{0}",
        why="The README shows this password, so any reader of it can log in.",
        mend="manage.py changepassword {0}, or take the account away.",
        waiver="ALLOW_DEMO",
        waived=lambda: bool(settings.ALLOW_DEMO),
    ),
)
