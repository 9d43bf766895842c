"""Log in for a token, log out to end it; a changed password ends all of an account's
(sql/access_end_tokens.sql)."""

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

from eventstore.api import errors
from eventstore.api import serializers as shapes
from eventstore.api.serializers import StrictSerializer, Text

from . import accounts, throttling
from .bearer import unexpired

audit = logging.getLogger("audit")

NO_ACCOUNT = "No active account has this username and password."


class LoginShape(StrictSerializer):
    username = Text(max_length=150)
    password = Text(max_length=4096, trim_whitespace=False)


class LoginAnswer(serializers.Serializer):
    """token: to be sent as a bearer. expiry: until when. customer_id: under which the account's
    orders are kept."""

    token = serializers.CharField()
    expiry = serializers.DateTimeField(allow_null=True)
    customer_id = serializers.CharField()


class LoginView(APIView):
    serializer_class, answer = LoginShape, LoginAnswer
    authentication_classes = ()
    permission_classes = (AllowAny,)
    # Guesses are counted where the account is known.
    throttle_classes = ()

    def post(self, request: Request) -> Response:
        errors.demand_length(request)
        given = shapes.read(LoginShape, request.data)
        if late := throttling.guess(request._request, given["username"]):
            raise Throttled(late.counted.left)
        user = authenticate(request, **given)
        if user is None:
            raise AuthenticationFailed(NO_ACCOUNT)
        held, token = _token(user)
        user_logged_in.send(type(user), request=request, user=user)
        customer_id = accounts.customer_id_of(user)
        return Response({"token": token, "expiry": held.expiry, "customer_id": customer_id})

    def finalize_response(self, *args: Any, **kwargs: Any) -> Response:
        response: Response = super().finalize_response(*args, **kwargs)
        response["Cache-Control"] = "no-store"
        return response

    def get_authenticate_header(self, request: Request) -> str:
        return "Bearer"


class LogoutView(APIView):
    def post(self, request: Request) -> Response:
        cast(AuthToken, request.auth).delete()
        user_logged_out.send(type(request.user), request=request, user=request.user)
        return Response(status=204)


@transaction.atomic
def _token(user: Any) -> tuple[AuthToken, str]:
    """A new one. The account is held meanwhile: a password that changes just now ends this token
    too, or is found."""
    held = User.objects.select_for_update(no_key=True).filter(
        pk=user.pk, is_active=True, password=user.password
    )
    if held.first() is None:
        raise AuthenticationFailed(NO_ACCOUNT)
    AuthToken.objects.filter(~unexpired(), user=user).delete()
    return cast(tuple[AuthToken, str], AuthToken.objects.create(user))


# At the API's door and the console's alike. What was typed for a name that is no account's may be a
# password.


@receiver(user_logged_in)
def note_login(sender: Any, request: HttpRequest | Request, user: Any, **_: Any) -> None:
    audit.info("logged in %r at %r", user.get_username(), request.path)


@receiver(user_login_failed)
def note_failed_login(
    sender: Any,
    credentials: Mapping[str, Any],
    request: HttpRequest | Request | None = None,
    **_: Any,
) -> None:
    name = str(credentials.get("username") or "")
    known = User.objects.filter(username=name).exists()
    who = repr(name) if known else "an unknown account"
    audit.warning("login refused for %s at %r", who, request.path if request else "")


urlpatterns = [
    path("login/", no_append_slash(LoginView.as_view())),
    path("logout/", no_append_slash(LogoutView.as_view())),
]
