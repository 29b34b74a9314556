"""The bytes of a manifest, and what is read from them."""

import dataclasses
import json
import math
from datetime import UTC, datetime

import pytest

from mainstay.digests import canonical_json
from mainstay.errors import Refused
from mainstay.nouns import Estimate, Holdout, StoredFile
from mainstay.registry.manifest import Against, Entity, Manifest, document, parse
from mainstay.scoring.encode import Input

SHARE = Estimate(0.02, 0.01, 0.03, 1409, method="Wilson")
MANIFEST = Manifest(
    use_case="churn",
    version="1.4.0",
    candidate="cd_" + "a" * 64,
    files={"model.onnx": StoredFile("b" * 64, 4096)},
    classes=("No", "Yes"),
    inputs=(Input("tenure", "integer", range=(0, 120)), Input("Contract", "category", values=("One year",))),
    feature_service="churn_v1",
    dataset="ds_" + "c" * 64,
    holdout=Holdout("churn", 0.2, datetime(2026, 1, 1, tzinfo=UTC)),
    run="run-1",
    recipe="d" * 64,
    code={"mainstay": "0.1.0", "commit": "e" * 40},
    metrics={"roc_auc": Estimate(0.84, 0.82, 0.86, 1409), "profit": Estimate(math.nan, math.nan, math.nan, 0)},
    against=Against("1.3.0", SHARE, SHARE, SHARE),
    verdict=17,
    key_id="f" * 16,
    at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    entity=Entity("customerID", "identifier", "hash", "0" * 16),
)


def test_a_manifest_comes_back_as_it_was_written() -> None:
    found = parse(document(MANIFEST))
    assert document(found) == document(MANIFEST)
    assert (found.inputs, found.holdout, found.against) == (MANIFEST.inputs, MANIFEST.holdout, MANIFEST.against)
    assert math.isnan(found.metrics["profit"].value)


def test_a_number_that_canonical_json_writes_as_digits_comes_back() -> None:
    wide = dataclasses.replace(MANIFEST, inputs=(Input("spent", "number", range=(-1e20, 1e20)),))
    assert parse(document(wide)).inputs == wide.inputs


def test_the_bytes_are_canonical_and_name_their_schema() -> None:
    body = json.loads(document(MANIFEST))
    assert body["schema"] == 2
    assert document(MANIFEST) == canonical_json(body)


def test_a_field_of_a_later_release_is_passed_over() -> None:
    body = json.loads(document(MANIFEST)) | {"moon": "full"}
    assert document(parse(canonical_json(body))) == document(MANIFEST)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"not json",
        b"[" * 100_000,
        b'{"schema":NaN}',
        b'{"schema":1e999}',
        b'{"schema":' + b"9" * 5000 + b"}",
        b'{"a":"\\ud800"}',
    ],
)
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(Refused, match="not JSON"):
        parse(data)


@pytest.mark.parametrize(
    "data",
    [
        document(MANIFEST) + b"\n",
        json.dumps(json.loads(document(MANIFEST))).encode(),
        document(MANIFEST)[:-1] + b',"verdict":18}',
    ],
    ids=["a newline", "spaces", "a key twice"],
)
def test_another_form_of_the_same_json_is_refused(data: bytes) -> None:
    with pytest.raises(Refused, match="not in canonical form"):
        parse(data)


@pytest.mark.parametrize("data", [b"[]", b"{}", b'"1"', b'{"schema":"1"}', b'{"schema":0}', b'{"schema":true}'])
def test_json_without_a_schema_is_refused(data: bytes) -> None:
    with pytest.raises(Refused, match="names no schema"):
        parse(data)


def test_a_manifest_of_a_later_schema_is_refused() -> None:
    body = json.loads(document(MANIFEST)) | {"schema": 3}
    with pytest.raises(Refused, match="upgrade Mainstay"):
        parse(canonical_json(body))


def test_a_manifest_that_lost_a_field_is_refused() -> None:
    body = json.loads(document(MANIFEST))
    del body["files"]
    with pytest.raises(Refused, match=r"Manifest\.files"):
        parse(canonical_json(body))
