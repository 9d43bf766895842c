"""Queries of rows that are no read model: always current, so without the headers of progress."""

import zlib
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpResponse, HttpResponseNotModified
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from eventstore import codec

from .errors import all_of
from .queries import (
    PRIVATE_HEADERS,
    NoParameters,
    PagesView,
    QueryView,
    paged,
    parameters,
    response,
)
from .reading import serialize
from .requests import if_none_match


class StoredRowView(QueryView):
    """serializer_class: of the row that find returns. find: the parts of the URL -> the row, or
    None if there is none; it raises Hidden for a row that the user may not see."""

    serializer_class: Any
    find: Callable[..., Any]

    def get(self, request: Request, **named: Any) -> HttpResponse:
        _, known_tags = all_of(
            lambda: parameters(NoParameters, request), lambda: if_none_match(request)
        )
        row = self.find(**named)
        if row is None:
            raise NotFound
        body = serialize(self.serializer_class, row)
        headers = PRIVATE_HEADERS | {"ETag": etag(row, body)}
        if headers["ETag"] in known_tags:
            return HttpResponseNotModified(headers=headers)
        return response(body, headers)


class StoredPagesView(PagesView):
    """As PagesView, from the primary database."""

    def get(self, request: Request, **named: Any) -> HttpResponse:
        values = parameters(self.parameters, request)
        limit, cursor = values.pop("limit"), values.pop("cursor", None)
        page, data, has_more = self._page(self._after(cursor, self.rows(**named, **values)), limit)
        following = self._next(request, values, limit, page) if has_more else None
        return paged(data, following, {})


def etag(row: Any, body: Mapping[str, Any]) -> str:
    """The version, which If-Match compares, and a digest of the rest."""
    return f'"{getattr(row, "version", 0)}.{zlib.crc32(codec.encode_json(body))}"'
