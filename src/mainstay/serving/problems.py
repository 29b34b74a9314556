"""What went wrong with a request, as RFC 9457 problem documents: one shape for every error there is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from starlette.responses import Response

from mainstay.scoring.reading import Problem

MEDIA_TYPE = "application/problem+json"

KINDS: Mapping[int, tuple[str, str]] = {
    400: ("unreadable-body", "The body cannot be read"),
    401: ("unknown-key", "No key that is believed"),
    403: ("missing-scope", "The key may not do that"),
    404: ("not-found", "There is no such thing here"),
    405: ("method-not-allowed", "The route does not take this method"),
    406: ("not-acceptable", "The answer cannot be had in that form"),
    408: ("too-slow", "The body took too long to arrive"),
    409: ("stale-features", "The features are too old"),
    413: ("too-large", "The request is too large"),
    415: ("unsupported-media-type", "The body is of a kind that is not read"),
    422: ("invalid-request", "The request does not fit the contract"),
    429: ("too-often", "The key's rate is used up"),
    431: ("too-many-headers", "The headers are too large"),
    500: ("defect", "The server failed"),
    503: ("not-ready", "Not ready to answer"),
}
"""Every status that is answered with a problem: the end of its `type`, and its `title`."""


class Rejected(Exception):
    """A request that gets no answer, only a problem document with this status.

    `version` is the version whose defect it is, where it is one's.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[Problem] = (),
        headers: Mapping[str, str] | None = None,
        version: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.version = version


def problem(rejected: Rejected, trace_id: str, instance: str | None = None) -> dict[str, Any]:
    """The problem document. `instance` says which part of the request it is about, where it is not the whole."""
    kind, title = KINDS[rejected.status]
    made: dict[str, Any] = {
        "type": f"urn:mainstay:problem:{kind}",
        "title": title,
        "status": rejected.status,
        "detail": rejected.detail,
    }
    if instance is not None:
        made["instance"] = instance
    return made | {"errors": [asdict(each) for each in rejected.errors], "trace_id": trace_id}


def as_json(value: Any) -> bytes:
    """A JSON text in UTF-8, without spaces. Raises ValueError for NaN and infinities: they are not JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def problem_response(rejected: Rejected, trace_id: str, path: str = "") -> Response:
    """The answer that carries a problem.

    Below `/v2` it has the Open Inference Protocol's `error` too, which RFC 9457 (3.2) lets it have.
    """
    made = problem(rejected, trace_id)
    if path == "/v2" or path.startswith("/v2/"):
        made["error"] = rejected.detail
    return Response(as_json(made), rejected.status, rejected.headers, media_type=MEDIA_TYPE)
