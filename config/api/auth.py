"""Log in for a token, log out to end it."""

from typing import cast

from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.urls import path
from django.views.decorators.common import no_append_slash
from knox.models import AuthToken
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config import throttling
from eventstore.api import faults, shapes
from eventstore.api.shapes import Shape, Text

from .bearer import unexpired


class LoginShape(Shape):
    username = Text(max_length=150)
    password = Text(max_length=4096, trim_whitespace=False)


class LoginAnswer(serializers.Serializer):
    """token: to be sent as a bearer. expiry: until when."""

    token = serializers.CharField()
    expiry = serializers.DateTimeField(allow_null=True)


class LoginView(APIView):
    serializer_class, answer = LoginShape, LoginAnswer
    authentication_classes = ()
    permission_classes = (AllowAny,)
    # Guesses are counted where the account is known.
    throttle_classes = ()

    def post(self, request: Request) -> Response:
        faults.demand_length(request)
        given = shapes.read(LoginShape, request.data)
        if late := throttling.guess(request._request, given["username"]):
            raise Throttled(late.counted.left)
        user = authenticate(request, **given)
        if user is None:
            raise AuthenticationFailed("No active account has this username and password.")
        AuthToken.objects.filter(~unexpired(), user=user).delete()
        held, token = AuthToken.objects.create(user)
        user_logged_in.send(type(user), request=request, user=user)
        return Response({"token": token, "expiry": held.expiry})

    def get_authenticate_header(self, request: Request) -> str:
        return "Bearer"


class LogoutView(APIView):
    def post(self, request: Request) -> Response:
        cast(AuthToken, request.auth).delete()
        user_logged_out.send(type(request.user), request=request, user=request.user)
        return Response(status=204)


urlpatterns = [
    path("login/", no_append_slash(LoginView.as_view())),
    path("logout/", no_append_slash(LogoutView.as_view())),
]
