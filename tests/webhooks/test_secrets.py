"""Secrets are derived, never stored; signatures are those of Standard Webhooks."""

import base64
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from eventstore.webhooks import secrets
from eventstore.webhooks.secrets import KeyMissing

BODY = '{"type":"orders.order_details","name":"Zoë"}'


def signed(*salts, body=BODY):
    return dict(secrets.headers("a-id", body, datetime.now(UTC), salts))


def test_the_library_of_standard_webhooks_verifies_it():
    salt = secrets.new_salt()
    headers = signed(salt)
    assert Webhook(secrets.secret(salt)).verify(BODY, headers)["name"] == "Zoë"
    with pytest.raises(WebhookVerificationError):
        Webhook(secrets.secret(salt)).verify(BODY + " ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secrets.secret(secrets.new_salt())).verify(BODY, headers)


def test_during_a_rotation_both_secrets_verify_it():
    old, new = secrets.new_salt(), secrets.new_salt()
    headers = signed(new, old)
    assert headers["webhook-signature"].count("v1,") == 2
    for salt in (old, new):
        Webhook(secrets.secret(salt)).verify(BODY, headers)


def test_a_secret_has_the_form_of_the_standard():
    secret = secrets.secret(secrets.new_salt())
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32


def test_what_is_stored_does_not_tell_the_secret(settings):
    settings.EVENTSTORE_WEBHOOK_KEYS = ["one"]
    salt = secrets.new_salt()
    mine = secrets.secret(salt)
    settings.EVENTSTORE_WEBHOOK_KEYS = ["another"]
    with pytest.raises(KeyMissing):
        secrets.secret(salt)
    # Whoever has the database alone can derive it only with the key.
    assert secrets.secret(salt._replace(key_id=secrets.key_id("another"))) != mine


def test_a_former_key_still_gives_former_secrets(settings):
    settings.EVENTSTORE_WEBHOOK_KEYS = ["old"]
    salt = secrets.new_salt()
    mine = secrets.secret(salt)
    settings.EVENTSTORE_WEBHOOK_KEYS = ["new", "old"]
    assert secrets.secret(salt) == mine
    assert secrets.new_salt().key_id == secrets.key_id("new")


def test_without_keys_of_its_own_the_key_is_djangos(settings):
    settings.EVENTSTORE_WEBHOOK_KEYS, settings.SECRET_KEY = [], "first"
    salt = secrets.new_salt()
    mine = secrets.secret(salt)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "second", ["first"]
    assert secrets.secret(salt) == mine
