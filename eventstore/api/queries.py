"""Query endpoints: one row of a read model, or pages of them by key."""

from collections.abc import Callable, Mapping, Sequence
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

from . import conditional as preconditions
from . import read_your_writes as freshness
from . import reveal
from . import serializers as shapes
from .read_your_writes import Found, MinimumVersion
from .serializers import Digits, StrictSerializer, Text

LONGEST_PAGE = 100

# An answer is for who asked, and may be kept if it is asked for again each time.
PRIVATE_HEADERS = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}


class NoParameters(StrictSerializer):
    """No query parameters at all."""


class MomentParameters(StrictSerializer):
    """The row as it was when its stream came to a version, or at a time."""

    version = Digits(min_value=1, required=False)
    at = serializers.DateTimeField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) > 1:
            raise ValidationError({"at": ["Say a version or a time, not both."]}, "both")
        return attrs


class PageParameters(StrictSerializer):
    limit = Digits(min_value=1, max_value=LONGEST_PAGE, default=50)
    cursor = Text(
        required=False, validators=[RegexValidator(r"^[!-~]+\Z", "A cursor is visible ASCII.")]
    )


class QueryView(APIView):
    """Says with every answer, also with a refusal, where the read model stood when it was asked.

    is_own: whether a row is about the user, who then sees what is personal in it.
    """

    standing: Progress | None = None
    restarted_after: int | None = None

    def is_own(self, row: Any) -> bool:
        return False

    def note(self, standing: Progress) -> None:
        self.standing = standing

    def wanted(self) -> MinimumVersion:
        wanted = freshness.wanted(self.request)
        self.restarted_after = wanted.restarted_after
        return wanted

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if self.standing is not None:
            response["X-Projection-Position"] = str(self.standing.position or 0)
            response["X-Projection-Lag"] = f"{self.standing.lag:.3f}"
        if self.restarted_after is not None:
            response[freshness.RESTARTED] = str(self.restarted_after)
        return response


class RowView(QueryView):
    """model: the read model, whose key is the one part of the URL. may_see: whether the row is the
    user's business. called: what acts on such a thing are written down under, when it is not the
    model's own name.

    parameters: MomentParameters where the row can be had as it once was; then its events are few.
    """

    model: ClassVar[type[Any]]
    called: ClassVar[str] = ""
    serializer_class: type[serializers.Serializer]
    parameters: type[StrictSerializer] = NoParameters

    def may_see(self, row: Any) -> bool:
        return True

    def get(self, request: Request, **named: str) -> HttpResponse:
        asked, held = parameters(self.parameters, request), preconditions.if_none_match(request)
        [key] = named.values()
        row, source = self._found(key, asked)
        if row is None:
            raise NotFound
        headers = PRIVATE_HEADERS | {"ETag": preconditions.etag(row), "X-Answered-From": source}
        if self._is_masked(row):
            if reveal.is_revealed(request, f"{self.called or self.model._meta.verbose_name} {key}"):
                return told(shapes.serialize(self.serializer_class, row), headers | reveal.UNKEPT)
            reveal.hide(row)
        if headers["ETag"] in held:
            return HttpResponse(status=304, headers=headers)
        return told(shapes.serialize(self.serializer_class, row), headers)

    def _is_masked(self, row: Any) -> bool:
        return reveal.holds(self.model) and not self.is_own(row)

    def _found(self, key: str, moment: dict[str, Any]) -> Found:
        if moment:
            return freshness.row_as_of(self.model, key, moment, self.may_see, note=self.note)
        return freshness.row(self.model, key, self.wanted(), self.may_see, note=self.note)


class PagesView(QueryView):
    """rows: the parameters' values -> all rows that the user may see. key: a unique column of
    theirs.

    moment: a time that is known of each row, where that, and not the key, says in which order they
    come. A page begins behind the last key of the one before, so that what is written meanwhile
    moves nothing.
    """

    serializer_class: type[serializers.Serializer]
    parameters: type[PageParameters] = PageParameters
    key: ClassVar[str]
    descending: ClassVar[bool] = False
    moment: ClassVar[str] = ""
    rows: Callable[..., QuerySet[Any]]

    def get(self, request: Request) -> HttpResponse:
        reveal.refuse_for_lists(request)
        asked = parameters(self.parameters, request)
        limit, cursor = asked.pop("limit"), asked.pop("cursor", None)
        rows, wanted = self._behind(cursor, self.rows(**asked)), self.wanted()
        database = freshness.database_for_list(rows.model, wanted, note=self.note)
        page, rows_told, has_more = self._page(rows.using(database), limit)
        following = self._next(page[-1], asked | {"limit": limit}) if has_more else None
        said = {"data": rows_told, "has_more": has_more, "next": following}
        return told(
            said, PRIVATE_HEADERS | {"X-Answered-From": freshness.READ_MODEL} | link(following)
        )

    def _page(self, rows: QuerySet[Any], limit: int) -> tuple[list[Any], list[msgspec.Raw], bool]:
        """The rows, what is told of each, and whether more follow. It ends early where its bytes
        are enough."""
        most = settings.page_bytes()
        found, more = pages.page(rows, limit, most)
        self._mask(rows.model, found)
        rows_told = list[msgspec.Raw]()
        while len(rows_told) < len(found) and (not rows_told or sum(map(len, rows_told)) < most):
            told = shapes.serialize(self.serializer_class, found[len(rows_told)])
            rows_told.append(msgspec.Raw(codec.encode_json(told)))
        return found[: len(rows_told)], rows_told, more or len(rows_told) < len(found)

    def _mask(self, model: type[Any], page: Sequence[Any]) -> None:
        if reveal.holds(model):
            for row in page:
                if not self.is_own(row):
                    reveal.hide(row)

    def _behind(self, cursor: str | None, rows: QuerySet[Any]) -> QuerySet[Any]:
        way, sign = ("lt", "-") if self.descending else ("gt", "")
        if cursor is not None:
            at, key = self._last(cursor)
            behind = Q(**{f"{self.key}__{way}": key})
            if self.moment:
                # The first of the two alone is what an index can be asked for.
                rows = rows.filter(**{f"{self.moment}__{way}e": at})
                behind = Q(**{f"{self.moment}__{way}": at}) | Q(**{self.moment: at}) & behind
            rows = rows.filter(behind)
        return rows.order_by(*(f"{sign}{column}" for column in (self.moment, self.key) if column))

    def _last(self, cursor: str) -> tuple[str, str]:
        """The moment, where one is told, and the key of the last row of the page before."""
        try:
            last = self._signer().unsign(cursor)
        except BadSignature:
            raise ValidationError({"cursor": ["This cursor is none of ours."]}, "forged") from None
        at, _, key = last.partition("|") if self.moment else ("", "", last)
        return at, key

    def _next(self, row: Any, asked: dict[str, Any]) -> str:
        at = f"{getattr(row, self.moment).isoformat()}|" if self.moment else ""
        cursor = self._signer().sign(f"{at}{getattr(row, self.key)}")
        return f"{self.request.path}?{urlencode(asked | {'cursor': cursor})}"

    def _signer(self) -> Signer:
        # Of another form than those by the key alone.
        return Signer(salt=f"{type(self).__qualname__}{self.moment}")


def link(following: str | None) -> dict[str, str]:
    """A copy of what the body says, for clients that know pages in general (RFC 8288)."""
    return {} if following is None else {"Link": f'<{following}>; rel="next"'}


def told(said: Mapping[str, Any], headers: Mapping[str, str]) -> HttpResponse:
    return HttpResponse(codec.encode_json(said), content_type="application/json", headers=headers)


def parameters(shape: type[StrictSerializer], request: Request) -> dict[str, Any]:
    """The query parameters by their shape; one that is not known, or given twice, is refused by its
    name."""
    given = request.query_params
    if not given:
        return dict(_of_who_asks_for_nothing(shape))
    if repeated := [name for name, values in given.lists() if len(values) > 1]:
        raise ValidationError({name: ["This is given twice."] for name in repeated}, "repeated")
    return dict(shapes.read(shape, given.dict()))


@cache
def _of_who_asks_for_nothing(shape: type[StrictSerializer]) -> Mapping[str, Any]:
    return shapes.read(shape, {})  # type: ignore[no-any-return]
