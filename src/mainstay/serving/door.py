"""What every request passes before its route: may this key do that, and is the answer to be had in a form it takes."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Asked

from mainstay.nouns import Scope
from mainstay.serving.access import Access
from mainstay.serving.problems import Rejected, problem_response

NEEDED: Mapping[str, Scope] = {
    "/predict": "predict",
    "/predict_batch": "predict",
    "/explain": "predict",
    "/feedback": "feedback",
    "/metrics": "read",
    "/info": "read",
    "/openapi.json": "read",
}
"""The scope that each route needs; those below /health need no key, and any other path needs one that is known."""

OTHER = frozenset({"/metrics", "/predict_batch"})
"""Routes that answer with something else than JSON too, and say for themselves what they have."""


def free(path: str) -> bool:
    """Whether a path may be asked without a key: whether a process lives is for whoever watches it."""
    return path == "/health" or path.startswith("/health/")


def needed(path: str) -> Scope | None:
    """The scope that a path needs; None where any known key will do: to hear that there is no such route."""
    if path.startswith("/v2/") or path == "/v2":
        return "predict" if path.endswith("/infer") else "read"
    return NEEDED.get(path)


class Door:
    """ASGI middleware: nothing is read of a request, and no route is reached, before `access` lets it in.

    Leaves in the request's state the id of the key that asks, as `key`, and as `charge` what a route calls with the
    number of rows once it knows it: it raises Rejected as `Access.charge`.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Asked, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path, state = scope["path"], scope.setdefault("state", {})
            try:
                if not free(path) and "key" not in state:  # the hot route may have asked: a rate is spent once
                    state["key"] = self._access.check(scope["headers"], needed(path))
                state["charge"] = partial(self._access.charge, state.get("key", ""))
                check_accept(scope["headers"], path)
            except Rejected as rejected:
                await problem_response(rejected, state.get("trace_id", ""), path)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def check_accept(headers: Iterable[tuple[bytes, bytes]], path: str = "/predict") -> None:
    """Rejected with 406 where the `Accept` of a request rules out what its route answers with (RFC 9110, 12.5.1)."""
    given = [value for name, value in headers if name == b"accept"]
    if not given or given[0] in (b"*/*", b"application/json") or path in OTHER or free(path):
        return  # what scrapes and probes say they take is not to be trusted, and they take what they get
    weights: dict[str, float] = {}
    for each in b",".join(given).decode("latin-1").lower().split(","):
        name, *parameters = (part.strip() for part in each.split(";"))
        if name:
            weights[name] = _weight(parameters)
    for name in ("application/json", "application/*", "*/*"):
        if name in weights:
            if weights[name] > 0:
                return
            break
    if weights:
        raise Rejected(406, "answers are JSON: send `Accept: application/json`, or no Accept at all")


def _weight(parameters: list[str]) -> float:
    for each in parameters:
        name, _, value = each.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def with_security(document: dict[str, Any], problems: Mapping[int | str, dict[str, Any]], access: Access) -> None:
    """Have an OpenAPI document tell which scope each route needs, and the problems that a request without it gets.

    `problems` are the responses of 401, 403, 406, 429, 500 and 503.
    """
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    words = "An API key, or a token of the identity provider where one is set up. The scopes of a route are its roles."
    schemes["key"] = {"type": "http", "scheme": "bearer", "description": words}
    for path, operations in document["paths"].items():
        if free(path):
            continue
        scope = needed(path)
        for operation in operations.values():
            operation["security"] = [{"key": [scope] if scope else []}, *([{}] if access.open else [])]
            for status, told in problems.items():
                operation["responses"].setdefault(str(status), deepcopy(told))
