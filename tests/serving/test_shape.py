"""What a contract's shape takes of a body is what the strict reader and the arm's reader make of it, to the bit."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.scoring.encode import Encoder, Feature, Input
from mainstay.scoring.rowwise import RowReader
from mainstay.serving.guard import parse_json
from mainstay.serving.predict import read_request
from mainstay.serving.problems import Rejected
from mainstay.serving.shape import LARGEST, Shaped, shape_of

INPUTS = (
    Input("tenure", "integer", range=(0, 120)),
    Input("paid", "number", nullable=True, range=(-1e30, 1e30)),
    Input("wide", "number"),
    Input("count", "integer", nullable=True),
    Input("senior", "category", values=("0", "1")),
    Input("plan", "category", nullable=True, values=("Basic", "Zwölf Monate", "1.5")),
    Input("far", "number", nullable=True, range=(0, 1e17)),
    Input("a:b", "category", nullable=True, values=("x", "y:z")),
)
ENCODER = Encoder(INPUTS, (), tuple(Feature(each.name, each.kind) for each in INPUTS if each.kind == "number"))
READER = RowReader(ENCODER, "refuse", "refuse")
SHAPE = shape_of(READER.usual)
USUAL: dict[str, Any] = {
    "tenure": 12,
    "paid": 3.5,
    "wide": -0.1,
    "count": None,
    "senior": 1,
    "plan": "Basic",
}


def read(body: bytes) -> Shaped | None:
    assert SHAPE is not None
    return SHAPE.read(body)


def strictly(body: bytes) -> Shaped:
    """What the slower way makes of a body. Rejected where it refuses it."""
    asked = read_request(parse_json(body), "p")
    row = READER.read(asked.features)
    if row.problems or row.flags:
        raise Rejected(422, "")
    origins = {each.name: "missing" for each in INPUTS if each.name not in asked.features}
    return Shaped(asked.entity, asked.request_id, row.values, origins or None)


numbers = st.one_of(
    st.integers(-3, 130),
    st.floats(),
    st.sampled_from(
        [0, 0.0, -0.0, 2**53, 2**53 - 1, 1 - 2**53, 2**53 + 1, 10**17 + 1, 10**30, 10**400, 40.5, 5e-324, 1e17, 120.0]
    ),
)
texts = st.sampled_from(["Basic", " Basic", "Zwölf Monate", "Zwo\u0308lf Monate", "1.5", "0", "1", "y:z", "", "a\n"])
anything = st.one_of(numbers, texts, st.none(), st.booleans(), st.text(max_size=3), st.sampled_from([[], {}]))
named = st.one_of(st.none(), st.text(max_size=4), st.integers(), st.sampled_from(["x" * 200, "x" * 201, True]))
features = st.dictionaries(st.sampled_from([*(each.name for each in INPUTS), "other"]), anything, max_size=3).map(
    lambda changed: {**USUAL, **changed}
)
requests = st.one_of(
    st.fixed_dictionaries({"features": features}, optional={"entity": named, "request_id": named}),
    st.fixed_dictionaries({"features": features | anything, "other": anything}),
)
spelt = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:\r")])


@settings(max_examples=1500, deadline=None)
@given(requests, st.booleans(), spelt, st.one_of(st.none(), st.sampled_from(sorted(USUAL))))
def test_what_it_takes_is_what_the_slower_way_makes_of_it(
    request: dict[str, Any], ascii_: bool, separators: tuple[str, str], dropped: str | None
) -> None:
    if dropped is not None and isinstance(request["features"], dict):
        request["features"] = {name: value for name, value in request["features"].items() if name != dropped}
    body = json.dumps(request, ensure_ascii=ascii_, separators=separators).encode(errors="surrogatepass")
    found = read(body)
    if found is not None:
        assert repr(found) == repr(strictly(body))


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, 130), st.binary(min_size=1, max_size=3), st.integers(0, 2))
def test_no_damage_to_a_body_is_taken_for_what_it_was_not(at: int, noise: bytes, cut: int) -> None:
    body = json.dumps({"entity": "a", "features": USUAL}).encode()
    body = body[:at] + noise + body[at + cut :]
    found = read(body)
    if found is not None:
        assert repr(found) == repr(strictly(body))


@pytest.mark.parametrize("ending", [b"0", b"-0", b"-0.0", b"120", b"120.0", b"1e2", b"12E1", b"0.0e5", b"1200e-1"])
def test_numbers_are_read_as_they_are_written(ending: bytes) -> None:
    body = json.dumps({"features": USUAL}).encode().replace(b": 12,", b": " + ending + b",")
    assert repr(read(body)) == repr(strictly(body))


def test_what_is_usual_is_taken() -> None:
    for request in (
        {"features": USUAL},
        {"entity": "7590-VHVEG", "features": {**USUAL, "senior": "1"}},
        {"entity": 7, "request_id": "é", "features": {**USUAL, "plan": "Zwölf Monate"}},
        {"entity": None, "request_id": None, "features": {**USUAL, "plan": None}},
    ):
        body = json.dumps(request, ensure_ascii=False).encode()
        found = read(body)
        assert found is not None
        assert repr(found) == repr(strictly(body))
        assert found.origins == {"far": "missing", "a:b": "missing"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"features": {"tenure": 1, "tenure": 2}}',
        json.dumps({"features": USUAL}).encode().replace(b'"count": null', b'"tenure": 12, "count": null'),
        json.dumps({"entity": "a", "features": USUAL}).encode().replace(b"{", b'{"entity": "a", ', 1),
        json.dumps({"features": USUAL, "request_id": "r"}).encode()[:-1] + b', "request_id": "r"}',
        b"\xef\xbb\xbf" + json.dumps({"features": USUAL}).encode(),
        json.dumps({"features": USUAL}).encode() + b" " * LARGEST,
        json.dumps({"features": {**USUAL, "far": 10**17 + 1}}).encode(),
        json.dumps({"features": USUAL, "entity": "\u2028"}).encode(),
        json.dumps({"features": USUAL, "entity": "x"}).encode().replace(b'"x"', b'"\xed\xa0\x80"'),
        json.dumps({"features": USUAL}).encode().replace(b": 12,", b": 012,"),
        json.dumps({"features": USUAL}).encode().replace(b": 12,", b": NaN,"),
        b"[" * 100_000,
        b"",
    ],
    ids=range(13),
)
def test_what_may_be_wrong_is_left_to_who_can_say_so(body: bytes) -> None:
    assert read(body) is None


def test_a_contract_that_no_request_fits_has_no_shape() -> None:
    for each in (
        Input("free", "category"),
        Input("far", "number", range=(1e17, 1e18)),
        Input("low", "number", range=(-1e18, -1e17)),
    ):
        assert shape_of(RowReader(Encoder((each,), (), ()), "refuse", "refuse").usual) is None
