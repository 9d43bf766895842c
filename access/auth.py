"""Log in to get a token, log out to revoke it. A trigger revokes all tokens of an account when its
password changes (sql/access_end_tokens.sql)."""

import logging
from collections.abc import Mapping
from typing import Any, cast

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest
from django.urls import path
from django.views.decorators.common import no_append_slash
from knox.models import AuthToken
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from eventstore.api import requests
from eventstore.api.reading import read
from eventstore.api.serializers import StrictSerializer, Text

from . import accounts, admission

audit = logging.getLogger("audit")

NO_ACCOUNT = "No active account has this username and password."


class LoginShape(StrictSerializer):
    username = Text(max_length=150)
    # Whatever it was made of.
    password = Text(max_length=4096, trim_whitespace=False, rule=None)


class LoginAnswer(serializers.Serializer):
    """token: the bearer token. expiry: when it expires. customer_id: the owner of the account's
    orders."""

    token = serializers.CharField()
    expiry = serializers.DateTimeField(allow_null=True)
    customer_id = serializers.CharField()


class LoginView(APIView):
    """Log in with a name and a password. The response has a bearer token."""

    serializer_class, answer = LoginShape, LoginAnswer
    authentication_classes = ()
    permission_classes = (AllowAny,)
    # Attempts are counted below, where the account is known.
    throttle_classes = ()

    def post(self, request: Request) -> Response:
        requests.require_length(request)
        credentials = read(LoginShape, request.data)
        if exceeded := admission.count_login(request._request, credentials["username"]):
            raise Throttled(exceeded.counted.left)
        user = authenticate(request, **credentials)
        if user is None:
            raise AuthenticationFailed(NO_ACCOUNT)
        stored, token = _create_token(user)
        user_logged_in.send(type(user), request=request, user=user)
        customer_id = accounts.customer_id_of(user)
        return Response({"token": token, "expiry": stored.expiry, "customer_id": customer_id})

    def finalize_response(self, *args: Any, **kwargs: Any) -> Response:
        response: Response = super().finalize_response(*args, **kwargs)
        response["Cache-Control"] = "no-store"
        return response

    def get_authenticate_header(self, request: Request) -> str:
        return admission.CHALLENGE


class LogoutView(APIView):
    """Revoke the token of the request."""

    def post(self, request: Request) -> Response:
        cast(AuthToken, request.auth).delete()
        user_logged_out.send(type(request.user), request=request, user=request.user)
        return Response(status=204)


@transaction.atomic
def _create_token(user: Any) -> tuple[AuthToken, str]:
    """A new token. The account is locked meanwhile: a concurrent change of the password either
    revokes this token too, or is seen here."""
    account = User.objects.select_for_update(no_key=True).filter(
        pk=user.pk, is_active=True, password=user.password
    )
    if account.first() is None:
        raise AuthenticationFailed(NO_ACCOUNT)
    AuthToken.objects.filter(~admission.unexpired(), user=user).delete()
    return cast(tuple[AuthToken, str], AuthToken.objects.create(user))


# The audit log of logins, at the API and at the console. The name of an unknown account is not
# logged: it may be a password that was typed into the wrong field.


@receiver(user_logged_in)
def log_login(sender: Any, request: HttpRequest | Request, user: Any, **_: Any) -> None:
    audit.info("logged in %r at %r", user.get_username(), request.path)


@receiver(user_login_failed)
def log_failed_login(
    sender: Any,
    credentials: Mapping[str, Any],
    request: HttpRequest | Request | None = None,
    **_: Any,
) -> None:
    name = str(credentials.get("username") or "")
    exists = User.objects.filter(username=name).exists()
    who = repr(name) if exists else "an unknown account"
    audit.warning("login refused for %s at %r", who, request.path if request else "")


urlpatterns = [
    path("login/", no_append_slash(LoginView.as_view())),
    path("logout/", no_append_slash(LogoutView.as_view())),
]
