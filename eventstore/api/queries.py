"""Query endpoints: one row of a read model, or pages of rows in the order of a key."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar
from urllib.parse import urlencode

import msgspec
from django.core.signing import BadSignature, Signer
from django.core.validators import RegexValidator
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseNotModified
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from eventstore import codec, settings
from eventstore.log import pages
from eventstore.projections.freshness import Progress

from . import read_your_writes, reveal
from .errors import PARAMETER, Fault, Malformed, all_of, faults
from .read_your_writes import MinimumVersion
from .reading import read, serialize
from .requests import APPLIED, etag, if_none_match, preferences
from .serializers import Digits, Moment, StrictSerializer, Text
from .views import EventStoreView

LONGEST_PAGE = 100

# A response is for one user. That user's own cache may store it and has to revalidate it each time.
PRIVATE_HEADERS = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization, Prefer"}


class NoParameters(StrictSerializer):
    """No query parameters at all."""


class MomentParameters(StrictSerializer):
    """The row as it was in a version of its stream, or at a time."""

    version = Digits(min_value=1, required=False)
    at = Moment(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) > 1:
            problem = {"at": ["Give either a version or a time, not both."]}
            raise serializers.ValidationError(problem, "both")
        return attrs


class PageParameters(StrictSerializer):
    limit = Digits(min_value=1, max_value=LONGEST_PAGE, default=50)
    cursor = Text(
        required=False, validators=[RegexValidator(r"^[!-~]+\Z", "Expected visible ASCII.")]
    )


class QueryView(EventStoreView):
    """Every response, including errors, has the progress of the read model in its headers.

    is_own: whether a row is about the user, who then sees the personal data in it.
    """

    standing: Progress | None = None
    restarted_after: int | None = None
    waits: str = ""

    def is_own(self, row: Any) -> bool:
        return False

    def note(self, standing: Progress) -> None:
        self.standing = standing

    def wanted(self) -> MinimumVersion:
        minimum = read_your_writes.wanted(self.request)
        self.restarted_after = minimum.restarted_after
        if minimum.wait is not None:
            self.waits = preferences(self.request)["wait"]
        return minimum

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if self.standing is not None:
            response["X-Projection-Position"] = str(self.standing.position or 0)
            response["X-Projection-Lag"] = f"{self.standing.lag:.3f}"
        if self.waits:
            # RFC 7240: the response came within that time.
            response[APPLIED] = f"wait={self.waits}"
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
        is_personal = reveal.holds(self.model)
        moment, known_tags, minimum, reason = all_of(
            lambda: parameters(self.parameters, request),
            lambda: if_none_match(request),
            self.wanted,
            lambda: reveal.reason_of(request) if is_personal else None,
        )
        [key] = named.values()
        may_see, note = self.may_see, self.note
        if moment:
            found = read_your_writes.row_as_of(self.model, key, moment, may_see, note=note)
        else:
            found = read_your_writes.row(self.model, key, minimum, may_see, note=note)
        row, source = found
        if row is None:
            raise NotFound
        headers = PRIVATE_HEADERS | {"ETag": etag(row), "X-Answered-From": source}
        if is_personal and not self.is_own(row):
            subject = f"{self.called or self.model._meta.verbose_name} {key}"
            if reveal.is_revealed(request, subject, reason):
                return response(serialize(self.serializer_class, row), headers | reveal.UNKEPT)
            reveal.hide(row)
        if headers["ETag"] in known_tags:
            return HttpResponseNotModified(headers=headers)
        return response(serialize(self.serializer_class, row), headers)


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
        values, minimum = all_of(lambda: parameters(self.parameters, request), self.wanted)
        limit, cursor = values.pop("limit"), values.pop("cursor", None)
        rows = self._after(cursor, self.rows(**values))
        database = read_your_writes.database_for_list(rows.model, minimum, note=self.note)
        last, data, has_more = self._page(rows.using(database), limit)
        following = self._next(request, values, limit, last) if has_more else None
        return paged(data, following, {"X-Answered-From": read_your_writes.READ_MODEL})

    def _next(self, request: Request, values: dict[str, Any], limit: int, last: Any) -> str:
        """The URL of the page after the one that ends with this row."""
        at = f"{getattr(last, self.moment).isoformat()}|" if self.moment else ""
        cursor = self._signer().sign(f"{at}{getattr(last, self.key)}")
        given = {
            name: rfc3339(value) if isinstance(value, datetime) else value
            for name, value in values.items()
        }
        return f"{request.path}?{urlencode(given | {'limit': limit, 'cursor': cursor})}"

    def _page(self, rows: QuerySet[Any], limit: int) -> tuple[Any, list[msgspec.Raw], bool]:
        """The last row, all rows as JSON, and whether more follow. A page ends early when its JSON
        has as many bytes as the settings allow."""
        room = settings.page_bytes()
        found, more = pages.page(rows, limit, room)
        is_personal = reveal.holds(rows.model)
        last, data = None, list[msgspec.Raw]()
        for row in found:
            if room <= 0:
                return last, data, True
            if is_personal and not self.is_own(row):
                reveal.hide(row)
            json = codec.encode_json(serialize(self.serializer_class, row))
            data.append(msgspec.Raw(json))
            last, room = row, room - len(json)
        return last, data, more

    def _after(self, cursor: str | None, rows: QuerySet[Any]) -> QuerySet[Any]:
        way, sign = ("lt", "-") if self.descending else ("gt", "")
        fields = [each for each in (self.moment, self.key) if each]
        if cursor is not None:
            try:
                last = self._signer().unsign(cursor)
            except BadSignature:
                raise Malformed(Fault("cursor", "Invalid cursor.", "forged", PARAMETER)) from None
            rows = rows.filter(pages.after(fields, way, last.split("|", len(fields) - 1)))
        return rows.order_by(*(f"{sign}{each}" for each in fields))

    def _signer(self) -> Signer:
        # A cursor with a moment has another form, so it is never valid for a view without one.
        return Signer(salt=f"{type(self).__qualname__}{self.moment}")


def paged(
    data: Sequence[msgspec.Raw], following: str | None, headers: Mapping[str, str]
) -> HttpResponse:
    """data: the rows of the page, each as JSON. following: the URL of the next page."""
    body = {"data": data, "has_more": following is not None, "next": following}
    return response(body, PRIVATE_HEADERS | dict(headers) | link(following))


def link(following: str | None) -> dict[str, str]:
    """The next page as a Link header (RFC 8288), for generic clients. The body has it as well."""
    return {} if following is None else {"Link": f'<{following}>; rel="next"'}


def parameters(shape: type[StrictSerializer], request: Request) -> dict[str, Any]:
    """The query parameters. Raises Malformed, also for an unknown or a repeated parameter."""
    given = request.query_params
    if not given:
        return dict(_defaults(shape))
    if repeated := [name for name, values in given.lists() if len(values) > 1]:
        detail = "This parameter is given more than once."
        raise Malformed(*(Fault(name, detail, "repeated", PARAMETER) for name in repeated))
    try:
        return dict(read(shape, given.dict()))
    except serializers.ValidationError as error:
        found = [
            fault._replace(pointer=fault.pointer.removeprefix("#/"), member=PARAMETER)
            for fault in faults(error)
        ]
        raise Malformed(*found) from None


def rfc3339(moment: datetime) -> str:
    """In UTC, as all times of the API."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@cache
def _defaults(shape: type[StrictSerializer]) -> Mapping[str, Any]:
    return read(shape, {})  # type: ignore[no-any-return]


def response(body: Mapping[str, Any], headers: Mapping[str, str]) -> HttpResponse:
    return HttpResponse(codec.encode_json(body), content_type="application/json", headers=headers)
