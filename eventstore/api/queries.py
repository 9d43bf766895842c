"""Query endpoints: one row of a read model, or pages of rows in the order of a key."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar
from urllib.parse import urlencode

import msgspec
from django.core.signing import BadSignature, Signer
from django.core.validators import RegexValidator
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView

from eventstore import codec, settings
from eventstore.log import pages
from eventstore.projections.freshness import Progress

from . import read_your_writes, reveal
from .read_your_writes import MinimumVersion
from .requests import etag, if_none_match
from .serializers import Digits, StrictSerializer, Text, read, serialize

LONGEST_PAGE = 100

# A response is for one user. That user's own cache may store it and has to revalidate it each time.
PRIVATE_HEADERS = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}


class NoParameters(StrictSerializer):
    """No query parameters at all."""


class MomentParameters(StrictSerializer):
    """The row as it was in a version of its stream, or at a time."""

    version = Digits(min_value=1, required=False)
    at = serializers.DateTimeField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) > 1:
            raise ValidationError({"at": ["Give either a version or a time, not both."]}, "both")
        return attrs


class PageParameters(StrictSerializer):
    limit = Digits(min_value=1, max_value=LONGEST_PAGE, default=50)
    cursor = Text(
        required=False, validators=[RegexValidator(r"^[!-~]+\Z", "Expected visible ASCII.")]
    )


class QueryView(APIView):
    """Every response, including errors, has the progress of the read model in its headers.

    is_own: whether a row is about the user, who then sees the personal data in it.
    """

    standing: Progress | None = None
    restarted_after: int | None = None

    def is_own(self, row: Any) -> bool:
        return False

    def note(self, standing: Progress) -> None:
        self.standing = standing

    def wanted(self) -> MinimumVersion:
        minimum = read_your_writes.wanted(self.request)
        self.restarted_after = minimum.restarted_after
        return minimum

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if self.standing is not None:
            response["X-Projection-Position"] = str(self.standing.position or 0)
            response["X-Projection-Lag"] = f"{self.standing.lag:.3f}"
        if self.restarted_after is not None:
            response[read_your_writes.RESTARTED] = str(self.restarted_after)
        return response


class RowView(QueryView):
    """model: the read model; the one part of the URL is its key. may_see: whether the user may see
    the row. called: the object's name in the audit log, the model's own name by default.

    parameters: MomentParameters if past versions can be queried; then a row must have few events.
    """

    model: ClassVar[type[Any]]
    called: ClassVar[str] = ""
    serializer_class: type[serializers.Serializer]
    parameters: type[StrictSerializer] = NoParameters

    def may_see(self, row: Any) -> bool:
        return True

    def get(self, request: Request, **named: str) -> HttpResponse:
        moment, known_tags = parameters(self.parameters, request), if_none_match(request)
        [key] = named.values()
        may_see, note = self.may_see, self.note
        if moment:
            found = read_your_writes.row_as_of(self.model, key, moment, may_see, note=note)
        else:
            found = read_your_writes.row(self.model, key, self.wanted(), may_see, note=note)
        row, source = found
        if row is None:
            raise NotFound
        headers = PRIVATE_HEADERS | {"ETag": etag(row), "X-Answered-From": source}
        if not self.is_own(row) and reveal.holds(self.model):
            if reveal.is_revealed(request, f"{self.called or self.model._meta.verbose_name} {key}"):
                return _response(serialize(self.serializer_class, row), headers | reveal.UNKEPT)
            reveal.hide(row)
        if headers["ETag"] in known_tags:
            return HttpResponse(status=304, headers=headers)
        return _response(serialize(self.serializer_class, row), headers)


class PagesView(QueryView):
    """rows: the values of the parameters -> all rows that the user may see. key: a unique column.

    moment: a column with a time, if rows are in the order of that time; rows of the same time are
    in the order of the key. Keyset pagination: a page begins after the last row of the page before,
    so rows written meanwhile shift nothing.
    """

    serializer_class: type[serializers.Serializer]
    parameters: type[PageParameters] = PageParameters
    key: ClassVar[str]
    descending: ClassVar[bool] = False
    moment: ClassVar[str] = ""
    rows: Callable[..., QuerySet[Any]]

    def get(self, request: Request) -> HttpResponse:
        reveal.refuse_for_lists(request)
        values = parameters(self.parameters, request)
        limit, cursor = values.pop("limit"), values.pop("cursor", None)
        rows, minimum = self._after(cursor, self.rows(**values)), self.wanted()
        database = read_your_writes.database_for_list(rows.model, minimum, note=self.note)
        page, data, has_more = self._page(rows.using(database), limit)
        following = None
        if has_more:
            at = f"{getattr(page[-1], self.moment).isoformat()}|" if self.moment else ""
            cursor = self._signer().sign(f"{at}{getattr(page[-1], self.key)}")
            following = f"{request.path}?{urlencode(values | {'limit': limit, 'cursor': cursor})}"
        body = {"data": data, "has_more": has_more, "next": following}
        source = {"X-Answered-From": read_your_writes.READ_MODEL}
        return _response(body, PRIVATE_HEADERS | source | link(following))

    def _page(self, rows: QuerySet[Any], limit: int) -> tuple[list[Any], list[msgspec.Raw], bool]:
        """The rows, each as JSON, and whether more follow. A page ends early when its JSON has as
        many bytes as the settings allow."""
        most = settings.page_bytes()
        found, more = pages.page(rows, limit, most)
        if reveal.holds(rows.model):
            for row in found:
                if not self.is_own(row):
                    reveal.hide(row)
        data = list[msgspec.Raw]()
        while len(data) < len(found) and (not data or sum(map(len, data)) < most):
            row = serialize(self.serializer_class, found[len(data)])
            data.append(msgspec.Raw(codec.encode_json(row)))
        return found[: len(data)], data, more or len(data) < len(found)

    def _after(self, cursor: str | None, rows: QuerySet[Any]) -> QuerySet[Any]:
        way, sign = ("lt", "-") if self.descending else ("gt", "")
        if cursor is not None:
            try:
                last = self._signer().unsign(cursor)
            except BadSignature:
                raise ValidationError({"cursor": ["Invalid cursor."]}, "forged") from None
            at, _, key = last.partition("|") if self.moment else ("", "", last)
            after = Q(**{f"{self.key}__{way}": key})
            if self.moment:
                # Implied by the second condition, but only this one can use an index.
                rows = rows.filter(**{f"{self.moment}__{way}e": at})
                after = Q(**{f"{self.moment}__{way}": at}) | Q(**{self.moment: at}) & after
            rows = rows.filter(after)
        return rows.order_by(*(f"{sign}{column}" for column in (self.moment, self.key) if column))

    def _signer(self) -> Signer:
        # A cursor with a moment has another form, so it is never valid for a view without one.
        return Signer(salt=f"{type(self).__qualname__}{self.moment}")


def link(following: str | None) -> dict[str, str]:
    """The next page as a Link header (RFC 8288), for generic clients. The body has it as well."""
    return {} if following is None else {"Link": f'<{following}>; rel="next"'}


def parameters(shape: type[StrictSerializer], request: Request) -> dict[str, Any]:
    """The query parameters. Raises ValidationError, also for an unknown or a repeated parameter."""
    given = request.query_params
    if not given:
        return dict(_defaults(shape))
    if repeated := [name for name, values in given.lists() if len(values) > 1]:
        raise ValidationError(
            {name: ["This parameter is given more than once."] for name in repeated}, "repeated"
        )
    return dict(read(shape, given.dict()))


@cache
def _defaults(shape: type[StrictSerializer]) -> Mapping[str, Any]:
    return read(shape, {})  # type: ignore[no-any-return]


def _response(body: Mapping[str, Any], headers: Mapping[str, str]) -> HttpResponse:
    return HttpResponse(codec.encode_json(body), content_type="application/json", headers=headers)
