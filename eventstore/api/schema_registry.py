"""The schema registry over HTTP, as the REST API of the Confluent Schema Registry defines it, so
that its stock clients work. Mount `urlpatterns(...)` with authentication and permissions of the
project.

It is another system's API: media types, errors and field names are Confluent's, and it is left out
of the OpenAPI document.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from django.urls import URLPattern, path
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from eventstore.schemas.registry import documents, service
from eventstore.schemas.registry.documents import AVRO, Document, Reference
from eventstore.schemas.registry.errors import (
    INVALID_COMPATIBILITY,
    INVALID_MODE,
    INVALID_SCHEMA,
    INVALID_SUBJECT,
    NO_SCHEMA,
    UNSUPPORTED,
    RegistryError,
)
from eventstore.schemas.registry.service import Page
from eventstore.schemas.registry.store import LARGEST_VERSION, Stored, Version

from . import requests
from .errors import PARAMETER, Fault, Malformed

logger = logging.getLogger(__name__)
audit = logging.getLogger("audit")

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
# What a client may do: see schemas; add some; set levels and modes, and delete.
READ, REGISTER, ADMINISTER = "read", "register", "administer"
# With this header a client says that it ignores fields that it does not know.
ACCEPTS_MORE = "Confluent-Accept-Unknown-Properties"
# Of a request: parts of data contracts, which this registry does not have.
UNSUPPORTED_PARTS = ("metadata", "ruleSet", "schemaTagsToAdd", "schemaTagsToRemove")
# All contexts, or the default one; there is no other.
CONTEXTS = (":*:", ":.:")
STORE_ERROR, FORBIDDEN = 50001, 40301


class V1Parser(requests.StrictJSONParser):
    media_type = MEDIA_TYPE


class DefaultParser(requests.StrictJSONParser):
    media_type = "application/vnd.schemaregistry+json"


class GenericParser(requests.StrictJSONParser):
    media_type = "application/octet-stream"


class V1Renderer(JSONRenderer):
    media_type = MEDIA_TYPE


class DefaultRenderer(JSONRenderer):
    media_type = "application/vnd.schemaregistry+json"


class RegistryView(APIView):
    """rights: method -> what it needs; READ by default. The permission class of the project asks
    for `right`."""

    schema = None
    parser_classes = (V1Parser, DefaultParser, requests.StrictJSONParser, GenericParser)
    renderer_classes = (V1Renderer, DefaultRenderer, JSONRenderer)
    rights: Mapping[str, str] = {}

    @property
    def right(self) -> str:
        return self.rights.get(str(self.request.method), READ)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # PostgreSQL has no null characters in texts; other texts do not reach it.
        asked = request.query_params
        names = (kwargs.get("subject"), asked.get("subject"), asked.get("subjectPrefix"))
        if any("\0" in name for name in names if name):
            raise RegistryError(INVALID_SUBJECT)

    def get_exception_handler(self) -> Callable[..., Response | None]:
        return error_response


class RootView(RegistryView):
    """The address itself, by which tools see that a registry is there."""

    def get(self, request: Request) -> Response:
        return Response({})


class SubjectsView(RegistryView):
    """The names of subjects."""

    def get(self, request: Request) -> Response:
        found = service.subjects(
            _prefix(request),
            deleted=_flag(request, "deleted"),
            only_deleted=_only_deleted(request),
            page=_page(request),
        )
        return Response(found)


class SubjectView(RegistryView):
    """Look up a schema in a subject, or delete the subject."""

    rights = {"DELETE": ADMINISTER}

    def post(self, request: Request, subject: str) -> Response:
        normalize = _flag(request, "normalize")
        document = _document(request)
        found = service.look_up(
            subject, document, normalize=normalize, deleted=_flag(request, "deleted")
        )
        return Response(_described(found))

    def delete(self, request: Request, subject: str) -> Response:
        return Response(service.delete_subject(subject, permanent=_flag(request, "permanent")))


class MetadataView(RegistryView):
    """The latest version; there is none with metadata."""

    def get(self, request: Request, subject: str) -> Response:
        if request.query_params.get("key"):
            raise RegistryError(NO_SCHEMA, "with this metadata")
        return Response(_described(service.version(subject, service.LATEST)))


class VersionsView(RegistryView):
    """The numbers of versions; register a schema."""

    rights = {"POST": REGISTER}

    def get(self, request: Request, subject: str) -> Response:
        found = service.versions(
            subject,
            deleted=_flag(request, "deleted"),
            only_deleted=_only_deleted(request),
            page=_page(request),
        )
        return Response(found)

    def post(self, request: Request, subject: str) -> Response:
        document = _document(request, normalize=_flag(request, "normalize"))
        id_, number = (_number_in(_object(request), name) for name in ("id", "version"))
        found = service.register(subject, document, id_=id_, number=number)
        answer: dict[str, Any] = {"id": found.stored.id}
        if request.headers.get(ACCEPTS_MORE, "").lower() == "true":
            answer |= {"version": found.number, "guid": str(found.stored.guid)}
        return Response(answer)


class VersionView(RegistryView):
    """One version."""

    rights = {"DELETE": ADMINISTER}

    def get(self, request: Request, subject: str, number: str) -> Response:
        found = service.version(subject, number, deleted=_flag(request, "deleted"))
        return Response(_described(found))

    def delete(self, request: Request, subject: str, number: str) -> Response:
        permanent = _flag(request, "permanent")
        return Response(service.delete_version(subject, number, permanent=permanent))


class VersionTextView(RegistryView):
    """The text of a version alone."""

    def get(self, request: Request, subject: str, number: str) -> HttpResponse:
        found = service.version(subject, number, deleted=_flag(request, "deleted"))
        return HttpResponse(found.stored.document.text, content_type=MEDIA_TYPE)


class ReferencedByView(RegistryView):
    """The ids of schemas that refer to a version."""

    def get(self, request: Request, subject: str, number: str) -> Response:
        return Response(service.referring(subject, number, _page(request)))


class SchemasView(RegistryView):
    """Versions of all subjects, with their schemas."""

    def get(self, request: Request) -> Response:
        found = service.schemas(
            _prefix(request),
            deleted=_flag(request, "deleted"),
            latest=_flag(request, "latestOnly"),
            page=_page(request),
        )
        return Response([_described(each) for each in found])


class TypesView(RegistryView):
    """The types of schemas."""

    def get(self, request: Request) -> Response:
        return Response(documents.TYPES)


class ContextsView(RegistryView):
    """There is one, the default."""

    def get(self, request: Request) -> Response:
        return Response(["."])


class SchemaView(RegistryView):
    """A schema by its id."""

    def get(self, request: Request, id_: int) -> Response:
        found = service.by_id(id_)
        subject = request.query_params.get("subject", "")
        place = service.uses(id_, deleted=True, subject=subject)[-1:] if subject else []
        more = {"subject": place[0][0], "version": place[0][1]} if place else {}
        return Response(_text(found) | more)


class SchemaTextView(RegistryView):
    """The text of a schema alone."""

    def get(self, request: Request, id_: int) -> HttpResponse:
        return HttpResponse(service.by_id(id_).document.text, content_type=MEDIA_TYPE)


class SchemaSubjectsView(RegistryView):
    """The subjects that have a schema."""

    def get(self, request: Request, id_: int) -> Response:
        found = dict.fromkeys(subject for subject, _ in _uses(request, id_))
        return Response(_cut(request, list(found)))


class SchemaVersionsView(RegistryView):
    """The versions that have a schema."""

    def get(self, request: Request, id_: int) -> Response:
        found = [{"subject": subject, "version": number} for subject, number in _uses(request, id_)]
        return Response(_cut(request, found))


class GuidView(RegistryView):
    """A schema by its GUID."""

    def get(self, request: Request, guid: UUID) -> Response:
        found = service.by_guid(guid)
        return Response(_text(found) | {"id": found.id})


class ConfigView(RegistryView):
    """The compatibility level of a subject, or of all."""

    rights = {"PUT": ADMINISTER, "DELETE": ADMINISTER}

    def get(self, request: Request, subject: str = service.ALL) -> Response:
        in_scope = _flag(request, "defaultToGlobal")
        return Response(
            {"compatibilityLevel": service.compatibility_of(subject, in_scope=in_scope)}
        )

    def put(self, request: Request, subject: str = service.ALL) -> Response:
        level = _named(request, "compatibility")
        if level is None:
            raise RegistryError(INVALID_COMPATIBILITY)
        for name, value in _object(request).items():
            if name not in ("compatibility", "compatibilityLevel") and value is not None:
                raise RegistryError(UNSUPPORTED, f"{name} is not supported.")
        service.set_compatibility(subject, level)
        return Response({"compatibility": level})

    def delete(self, request: Request, subject: str = service.ALL) -> Response:
        return Response({"compatibilityLevel": service.forget_compatibility(subject)})


class ModeView(RegistryView):
    """The mode of a subject, or of all."""

    rights = {"PUT": ADMINISTER, "DELETE": ADMINISTER}

    def get(self, request: Request, subject: str = service.ALL) -> Response:
        in_scope = _flag(request, "defaultToGlobal")
        return Response({"mode": service.mode_of(subject, in_scope=in_scope)})

    def put(self, request: Request, subject: str = service.ALL) -> Response:
        mode = _named(request, "mode")
        if mode is None:
            raise RegistryError(INVALID_MODE)
        service.set_mode(subject, mode, force=_flag(request, "force"))
        return Response({"mode": mode})

    def delete(self, request: Request, subject: str = service.ALL) -> Response:
        return Response({"mode": service.forget_mode(subject)})


class CompatibilityView(RegistryView):
    """Whether a schema may be registered: compared with one version, or with those that the level
    names."""

    def post(self, request: Request, subject: str, number: str | None = None) -> Response:
        document = _document(request, normalize=_flag(request, "normalize"))
        found = service.incompatibilities(subject, document, number)
        answer: dict[str, Any] = {"is_compatible": not found}
        if _flag(request, "verbose"):
            answer["messages"] = found
        return Response(answer)


class UnknownView(RegistryView):
    """What this registry does not have, such as associations."""

    def get(self, request: Request, rest: str) -> Response:
        raise exceptions.NotFound

    post = put = delete = get


VIEWS: Sequence[tuple[str, type[RegistryView]]] = (
    ("", RootView),
    ("subjects", SubjectsView),
    ("subjects/<path:subject>/versions/<str:number>/schema", VersionTextView),
    ("subjects/<path:subject>/versions/<str:number>/referencedby", ReferencedByView),
    ("subjects/<path:subject>/versions/<str:number>", VersionView),
    ("subjects/<path:subject>/versions", VersionsView),
    ("subjects/<path:subject>/metadata", MetadataView),
    ("subjects/<path:subject>", SubjectView),
    ("schemas", SchemasView),
    ("schemas/types", TypesView),
    ("schemas/ids/<int:id_>", SchemaView),
    ("schemas/ids/<int:id_>/schema", SchemaTextView),
    ("schemas/ids/<int:id_>/subjects", SchemaSubjectsView),
    ("schemas/ids/<int:id_>/versions", SchemaVersionsView),
    ("schemas/guids/<uuid:guid>", GuidView),
    ("contexts", ContextsView),
    ("config", ConfigView),
    ("config/<path:subject>", ConfigView),
    ("mode", ModeView),
    ("mode/<path:subject>", ModeView),
    ("compatibility/subjects/<path:subject>/versions", CompatibilityView),
    ("compatibility/subjects/<path:subject>/versions/<str:number>", CompatibilityView),
    ("<path:rest>", UnknownView),
)


def urlpatterns(**options: Any) -> list[URLPattern]:
    """options: of each view, such as authentication_classes and permission_classes."""
    return [path(route, view.as_view(**options)) for route, view in VIEWS]


def error_response(error: Exception, about: Mapping[str, Any]) -> Response | None:
    """As the registry's clients read errors. None for an unexpected error, which Django logs."""
    request, headers = about["request"], dict[str, str]()
    match error:
        case RegistryError():
            status, code, message = error.status, error.kind.code, str(error)
        case Malformed():
            status = code = 400
            message = "; ".join(f"{each.pointer}: {each.detail}" for each in error.faults)
        case exceptions.APIException():
            status, message = error.status_code, str(error.detail)
            code = FORBIDDEN if status == 403 else status
            given = {"WWW-Authenticate": "auth_header", "Retry-After": "wait"}
            found = {name: getattr(error, field, None) for name, field in given.items()}
            headers = {name: str(value) for name, value in found.items() if value is not None}
        case Http404():
            status = code = 404
            message = "Not found."
        case OperationalError() | InterfaceError():
            logger.exception("database error")
            status, code = 500, STORE_ERROR
            message = "Error in the backend datastore. Retry in a moment."
        case _:
            return None
    if status in (401, 403):
        # Values from the client are escaped, so that they cannot forge lines.
        audit.warning(
            "denied %s %r to %r: %s, answered %s",
            request.method,
            request.path,
            getattr(request.user, "username", "") or "anonymous",
            type(error).__name__,
            status,
        )
    request.accepted_renderer, request.accepted_media_type = V1Renderer(), MEDIA_TYPE
    body = {"error_code": code, "message": message}
    return Response(body, status=status, headers=headers, content_type=MEDIA_TYPE)


# --- Requests


def _document(request: Request, *, normalize: bool = False) -> Document:
    """Raises Malformed, RegistryError."""
    requests.require_length(request)
    body = _object(request)
    for name in UNSUPPORTED_PARTS:
        if body.get(name):
            raise RegistryError(UNSUPPORTED, f"{name} is not supported.")
    text, type_ = body.get("schema"), body.get("schemaType") or AVRO
    if not isinstance(text, str | None):
        raise RegistryError(INVALID_SCHEMA, "the member schema must be a text")
    if not text or not text.strip():
        raise RegistryError(INVALID_SCHEMA, "it is empty")
    if not isinstance(type_, str):
        raise Malformed(Fault("#/schemaType", "Expected a text.", "invalid"))
    references = service.with_versions(_references(body))
    return documents.read(text, type_, references, normalize=normalize)


def _references(body: Mapping[str, Any]) -> list[Reference]:
    given = body.get("references") or []
    if not isinstance(given, list):
        raise Malformed(Fault("#/references", "Expected a list.", "invalid"))
    found = []
    for index, each in enumerate(given):
        pointer = f"#/references/{index}"
        if not isinstance(each, Mapping):
            raise Malformed(Fault(pointer, "Expected an object.", "invalid"))
        name, subject, version = (each.get(part) for part in Reference._fields)
        if not (isinstance(name, str) and isinstance(subject, str) and name and subject):
            raise Malformed(Fault(pointer, "Expected a name and a subject.", "invalid"))
        if not isinstance(version, int) or not (version == -1 or 0 < version <= LARGEST_VERSION):
            detail = f"Expected a version from 1 to {LARGEST_VERSION}, or -1 for the latest one."
            raise Malformed(Fault(pointer, detail, "invalid"))
        found.append(Reference(name, subject, int(version)))
    return found


def _object(request: Request) -> Mapping[str, Any]:
    if not isinstance(request.data, dict):
        raise Malformed(Fault("#", "Expected an object.", "invalid"))
    return request.data


def _named(request: Request, name: str) -> str | None:
    """A text of the body, in upper case."""
    requests.require_length(request)
    given = _object(request).get(name)
    return given.upper() if isinstance(given, str) else None


def _number_in(body: Mapping[str, Any], name: str) -> int | None:
    """A positive number of the body; None without it."""
    given = body.get(name)
    if given is None or given == -1:
        return None
    if not isinstance(given, int) or isinstance(given, bool) or not 0 < given <= LARGEST_VERSION:
        detail = f"Expected a whole number from 1 to {LARGEST_VERSION}."
        raise Malformed(Fault(f"#/{name}", detail, "invalid"))
    return given


def _flag(request: Request, name: str) -> bool:
    return bool(request.query_params.get(name, "").lower() == "true")


def _only_deleted(request: Request) -> bool:
    """Under both of its names."""
    return _flag(request, "deleted_only") or _flag(request, "deletedOnly")


def _prefix(request: Request) -> str:
    given = str(request.query_params.get("subjectPrefix", ""))
    return next((given.removeprefix(each) for each in CONTEXTS if given.startswith(each)), given)


def _page(request: Request) -> Page:
    """Raises Malformed."""
    return Page(offset=max(_integer(request, "offset", 0), 0), limit=_integer(request, "limit", -1))


def _integer(request: Request, name: str, default: int) -> int:
    given = request.query_params.get(name, str(default))
    try:
        if len(given) > 10:
            raise ValueError
        return int(given)
    except ValueError:
        raise Malformed(Fault(name, "Expected a whole number.", "invalid", PARAMETER)) from None


def _uses(request: Request, id_: int) -> list[tuple[str, int]]:
    subject = request.query_params.get("subject", "")
    return service.uses(id_, deleted=_flag(request, "deleted"), subject=subject)


def _cut(request: Request, found: list[Any]) -> list[Any]:
    page = _page(request)
    return found[page.offset : page.offset + page.most(service.MOST_NAMES)]


# --- Responses


def _described(version: Version) -> dict[str, Any]:
    place = {"subject": version.subject, "version": version.number, "id": version.stored.id}
    return place | _text(version.stored) | ({"deleted": True} if version.deleted else {})


def _text(stored: Stored) -> dict[str, Any]:
    """AVRO is the type that is not named."""
    document = stored.document
    found: dict[str, Any] = {"guid": str(stored.guid)}
    if document.type != AVRO:
        found["schemaType"] = document.type
    if document.references:
        found["references"] = [each._asdict() for each in document.references]
    return found | {"schema": document.text}
