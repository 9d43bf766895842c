"""Find accounts by their normalized name."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.http import HttpRequest


class NormalizedNames(ModelBackend):
    """Names are stored in the form NFKC. Some keyboards and systems send another one, such as a
    letter and its accent as two characters."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **others: Any,
    ) -> Any:
        if username is not None:
            username = User.normalize_username(username)
        return super().authenticate(request, username=username, password=password, **others)
