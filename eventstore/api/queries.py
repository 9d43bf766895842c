"""Query endpoints: one row of a read model, or pages of them by key."""

from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.core.signing import BadSignature, Signer
from django.db.models import Model, QuerySet
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from . import preconditions
from .shapes import Digits, Shape, Text

LONGEST_PAGE = 100

# An answer is for who asked, and may be kept if it is asked for again each time.
ONLY_HIS = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}


class NoParameters(Shape):
    """No query parameters at all."""


class PageParameters(Shape):
    limit = Digits(min_value=1, max_value=LONGEST_PAGE, default=50)
    cursor = Text(required=False)


class RowView(APIView):
    """row: the URL's parts -> the row, if there is one and the user may see it."""

    serializer_class: type[serializers.Serializer]
    row: Callable[..., Model | None]

    def get(self, request: Request, **named: str) -> Response:
        _parameters(NoParameters, request)
        row = self.row(**named)
        if row is None:
            raise NotFound
        tag = preconditions.etag(row)
        if preconditions.if_none_match(request, tag):
            return Response(status=304, headers=ONLY_HIS | {"ETag": tag})
        return Response(self.serializer_class(row).data, headers=ONLY_HIS | {"ETag": tag})


class PagesView(APIView):
    """rows: the parameters' values -> all rows that the user may see. key: a unique column of theirs.

    A page begins behind the last key of the one before, so that what is written meanwhile moves nothing.
    """

    serializer_class: type[serializers.Serializer]
    parameters: type[PageParameters] = PageParameters
    key: ClassVar[str]
    descending: ClassVar[bool] = False
    rows: Callable[..., QuerySet[Any]]

    def get(self, request: Request) -> Response:
        parameters = _parameters(self.parameters, request)
        limit, cursor = parameters.pop("limit"), parameters.pop("cursor", None)
        rows = list(self._behind(cursor, self.rows(**parameters))[: limit + 1])
        page, has_more = rows[:limit], len(rows) > limit
        return Response(
            {
                "data": self.serializer_class(page, many=True).data,
                "has_more": has_more,
                "next": self._next(page[-1], parameters | {"limit": limit}) if has_more else None,
            },
            headers=ONLY_HIS,
        )

    def _behind(self, cursor: str | None, rows: QuerySet[Any]) -> QuerySet[Any]:
        if cursor is not None:
            rows = rows.filter(**{f"{self.key}__{'lt' if self.descending else 'gt'}": self._key(cursor)})
        return rows.order_by(f"{'-' if self.descending else ''}{self.key}")

    def _key(self, cursor: str) -> str:
        try:
            return self._signer().unsign(cursor)
        except BadSignature:
            raise ValidationError({"cursor": ["This cursor is none of ours."]}, "forged") from None

    def _next(self, row: Any, parameters: dict[str, Any]) -> str:
        cursor = self._signer().sign(getattr(row, self.key))
        return f"{self.request.path}?{urlencode(parameters | {'cursor': cursor})}"

    def _signer(self) -> Signer:
        return Signer(salt=type(self).__qualname__)


def _parameters(shape: type[Shape], request: Request) -> dict[str, Any]:
    given = request.query_params
    if repeated := [name for name, values in given.lists() if len(values) > 1]:
        raise ValidationError({name: ["This is given twice."] for name in repeated}, "repeated")
    parameters = shape(data=given.dict())
    parameters.is_valid(raise_exception=True)
    return dict(parameters.validated_data)
