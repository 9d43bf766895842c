"""What a new password has to be, beside Django's own rules."""

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError

ATTRIBUTES = ("username", "first_name", "last_name", "email")
# A shorter name is part of many a word.
SHORTEST_NAME = 3


class LongWithoutTheName:
    """The user's names count for nothing: without them, the password has to be as long as any.

    Django's UserAttributeSimilarityValidator compares the whole password with a name, and finds
    "ada" and "ada12345678" unlike.
    """

    def __init__(self, min_length: int) -> None:
        self.min_length = min_length

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        rest = password.casefold()
        for name in sorted(_names(user), key=len, reverse=True):
            rest = rest.replace(name, "")
        if rest != password.casefold() and len(rest) < self.min_length:
            raise ValidationError(self.get_help_text(), code="password_of_a_name")

    def get_help_text(self) -> str:
        return f"Beside your name, your password must have at least {self.min_length} characters."


def _names(user: AbstractBaseUser | None) -> set[str]:
    values = [str(getattr(user, attribute, "") or "").casefold() for attribute in ATTRIBUTES]
    return {
        name
        for value in values
        for name in (value, value.partition("@")[0])
        if len(name) >= SHORTEST_NAME
    }
