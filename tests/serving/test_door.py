"""What every request passes first: scopes by path, what a request accepts, and what rows cost."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from mainstay.serving.access import Access
from mainstay.serving.answering import Answering
from mainstay.serving.app import create_app
from mainstay.serving.arms import Arms
from mainstay.serving.door import NEEDED, Door, check_accept, free, needed
from mainstay.serving.problems import Rejected
from mainstay.serving.rates import Bucket

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def accepted(*values: str, path: str = "/predict") -> bool:
    try:
        check_accept([(b"host", b"here"), *((b"accept", each.encode("latin-1")) for each in values)], path)
    except Rejected as rejected:
        return rejected.status != 406
    return True


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        ("*/*",),
        ("application/json",),
        ("APPLICATION/JSON",),
        ("application/*",),
        ("text/html, application/json;q=0.1",),
        ("text/html", "*/*;q=0.1"),
        ("application/json; charset=utf-8",),
        ("application/json ; q=0.5 , text/html",),
        ("application/*;q=0, application/json",),
        ("*/*;q=0, application/json;q=0.001",),
    ],
)
def test_json_is_sent_to_whoever_takes_it(values: tuple[str, ...]) -> None:
    assert accepted(*values)


@pytest.mark.parametrize(
    "values",
    [
        ("text/html",),
        ("application/json;q=0",),
        ("application/json;q=0, */*",),
        ("application/*;q=0.0, */*;q=1",),
        ("*/*;q=0",),
        ("application/json;q=high",),
        ("text/csv, application/xml;q=0.9",),
        ("application/jsonx",),
        ("\xff",),
    ],
)
def test_who_rules_json_out_is_told_so(values: tuple[str, ...]) -> None:
    assert not accepted(*values)


@pytest.mark.parametrize("path", ["/metrics", "/health", "/health/live"])
def test_scrapes_and_probes_take_what_they_get(path: str) -> None:
    assert accepted("text/html", path=path)


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/predict", "predict"),
        ("/v2", "read"),
        ("/v2/models/tiny", "read"),
        ("/v2/models/tiny/infer", "predict"),
        ("/v2/models/tiny/versions/1.0.0/infer", "predict"),
        ("/v2x", None),
        ("/predict/", None),
        ("//predict", None),
        ("/PREDICT", None),
        ("", None),
    ],
)
def test_a_path_needs_the_scope_of_its_route_and_an_unknown_one_needs_any(path: str, scope: str | None) -> None:
    assert needed(path) == scope
    assert not free(path)


@pytest.mark.parametrize(
    ("path", "is_free"), [("/health", True), ("/health/", True), ("/health/x", True), ("/healthy", False)]
)
def test_only_what_is_below_health_is_free(path: str, is_free: bool) -> None:
    assert free(path) is is_free


def test_every_route_there_is_has_a_scope_or_is_free_on_purpose(arms: Arms, answering: Answering) -> None:
    app = create_app(arms, "tiny", answering, Access(list, None, lambda: NOW))
    paths = {getattr(route, "path", "") for route in app.routes}
    assert {"/predict", "/health", "/openapi.json"} <= paths
    assert not {path for path in paths if not free(path) and needed(path) is None}
    assert {path for path in paths if free(path)} == {"/health", "/health/live", "/health/ready"}
    assert paths - set(app.openapi()["paths"]) == {"/openapi.json"}


def test_every_scope_is_in_the_reference(request: pytest.FixtureRequest) -> None:
    text = (request.config.rootpath / "docs" / "reference" / "http.md").read_text()
    for path, scope in NEEDED.items():
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{scope}` |"))
        assert f"`{path}`" in row


async def _nothing() -> Any:
    return {"type": "http.request", "body": b""}


def test_what_is_no_request_passes() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    async def send(message: Any) -> None:
        pytest.fail("answered")

    asyncio.run(Door(app, Access(list, None, lambda: NOW))({"type": "lifespan"}, _nothing, send))
    assert seen == [{"type": "lifespan"}]


def refused(call: Any, *given: Any) -> dict[str, str]:
    with pytest.raises(Rejected) as found:
        call(*given)
    assert found.value.status == 429
    return found.value.headers


def test_a_batch_larger_than_the_burst_is_taken_and_made_up_for() -> None:
    bucket = Bucket(50.0, 100)
    bucket.ask(0.0)
    bucket.charge(10_000, 0.0)
    assert refused(bucket.ask, 0.0)["retry-after"] == "199"
    assert refused(bucket.charge, 1, 100.0)["retry-after"] == "99"  # of two batches let in at once, the second
    refused(bucket.ask, 197.9)
    bucket.ask(198.03)
    refused(bucket.ask, 198.03)


def test_a_request_of_one_row_or_of_none_costs_what_a_request_costs() -> None:
    bucket = Bucket(1.0, 2)
    for rows in (0, 1):
        bucket.ask(0.0)
        bucket.charge(rows, 0.0)
    refused(bucket.ask, 0.0)


def test_a_clock_that_stands_still_grants_nothing() -> None:
    bucket = Bucket(1000.0, 1)
    bucket.ask(10.0)
    refused(bucket.ask, 9.0)
    assert refused(bucket.ask, 9.0)["ratelimit"] == '"key-per-replica";r=0;t=1'
