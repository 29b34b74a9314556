"""Batches in every format: the same rows, the same answers."""

import csv
import io
import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay.nouns import Arm
from mainstay.serving.arms import Arms
from mainstay.serving.arrow import distinct_texts, read_arrow
from mainstay.serving.formats import ARROW, CSV, FORMATS, PARQUET, wanted
from mainstay.serving.guard import JSON
from mainstay.serving.problems import Rejected

if TYPE_CHECKING:
    from tests.serving.conftest import Client, World, Written

ROWS: dict[str, list[Any]] = {
    "entity": ["a", "b", None, "d"],
    "age": [40, 18, 89, 33],
    "spent": [120.5, None, 0.25, 900.0],
    "plan": ["basic", "plus", "basic", "plus"],
}
NAMES = ("decision", "risk", "version", "probability")


def stream(columns: dict[str, Any], **options: Any) -> bytes:
    """An Arrow stream of these columns."""
    table = pa.table(columns)
    into = io.BytesIO()
    with pa.ipc.new_stream(into, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return into.getvalue()


def lines(columns: dict[str, list[Any]]) -> bytes:
    into = io.StringIO()
    csv.writer(into).writerows([columns, *zip(*columns.values(), strict=True)])
    return into.getvalue().encode()


def parquet(columns: dict[str, Any]) -> bytes:
    into = io.BytesIO()
    pq.write_table(pa.table(columns), into)
    return into.getvalue()


def as_requests(columns: dict[str, list[Any]]) -> bytes:
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return json.dumps({"rows": [{"entity": row.pop("entity"), "features": row} for row in rows]}).encode()


BODIES = {JSON: as_requests(ROWS), CSV: lines(ROWS), ARROW: stream(ROWS), PARQUET: parquet(ROWS)}


def told(kind: str, content: bytes) -> list[dict[str, Any]]:
    """The rows of an answer, whatever its format."""
    if kind == JSON:
        return list(json.loads(content)["predictions"])
    if kind == CSV:
        rows = list(csv.DictReader(io.StringIO(content.decode())))
        return [{name: value or None for name, value in row.items()} for row in rows]
    table = pq.read_table(io.BytesIO(content)) if kind == PARQUET else pa.ipc.open_stream(content).read_all()
    return list(table.to_pylist())


@pytest.mark.parametrize(
    ("given", "asked"),
    [*itertools.product(FORMATS[:3], FORMATS[:3]), (PARQUET, PARQUET)],  # a process is started for each of those
)
def test_every_format_in_and_out_gives_the_same_answers(client: "Client", given: str, asked: str) -> None:
    plain = client.post("/predict_batch", content=BODIES[JSON], headers={"content-type": JSON})
    wanted = told(JSON, plain.content)
    found = client.post("/predict_batch", content=BODIES[given], headers={"content-type": given, "accept": asked})
    assert (found.status_code, found.headers["content-type"]) == (200, asked)
    for ours, theirs in zip(told(asked, found.content), wanted, strict=True):
        assert [ours[name] for name in NAMES[:3]] == [theirs[name] for name in NAMES[:3]]
        assert float(ours["probability"]) == pytest.approx(theirs["probability"], abs=1e-6)
        assert ours["entity"] == theirs["entity"]


@pytest.mark.parametrize("kind", FORMATS[:3])
def test_an_answer_comes_in_the_format_of_its_rows(client: "Client", kind: str) -> None:
    found = client.post("/predict_batch", content=BODIES[kind], headers={"content-type": kind})
    assert found.headers["content-type"] == kind


def test_dictionaries_batches_and_wide_or_narrow_types_are_one_to_arrow(client: "Client") -> None:
    other = {
        "entity": pa.chunked_array([pa.array(["a", "b"], pa.large_string()), pa.array([None, "d"], pa.large_string())]),
        "age": pa.array(ROWS["age"], pa.int8()),
        "spent": pa.array(ROWS["spent"], pa.float32()),
        "plan": pa.chunked_array([pa.array(ROWS["plan"][:2]), pa.array(ROWS["plan"][2:])]).dictionary_encode(),
    }
    headers = {"content-type": ARROW}
    plain = told(ARROW, client.post("/predict_batch", content=BODIES[ARROW], headers=headers).content)
    found = told(ARROW, client.post("/predict_batch", content=stream(other), headers=headers).content)
    assert [row["probability"] for row in found] == [row["probability"] for row in plain]
    assert [row["entity"] for row in found] == ROWS["entity"]


@pytest.mark.parametrize("kind", FORMATS[:3])
def test_a_bad_row_does_not_spoil_the_others(client: "Client", kind: str) -> None:
    rows = {**ROWS, "age": [40, None, 41, 33], "entity": ["a", "b", "c\x07", "d"]}
    body = {JSON: as_requests, CSV: lines, ARROW: stream}[kind](rows)
    found = told(kind, client.post("/predict_batch", content=body, headers={"content-type": kind}).content)
    assert [row.get("probability") is None for row in found] == [False, True, True, False]
    if kind != JSON:
        assert "`age` is missing" in found[1]["error"]
        assert "`entity` is not a text" in found[2]["error"]
        assert found[1]["prediction_id"] is None
        assert found[3]["error"] is None


def test_lines_of_another_length_are_told_and_the_rest_is_answered(client: "Client") -> None:
    body = b"age,spent,plan\r\n40,1,basic\r\n41,2\r\n\r\n42,,plus\r\n"
    found = told(CSV, client.post("/predict_batch", content=body, headers={"content-type": CSV}).content)
    said = "the row has 2 fields where the header has 3: it must be a line of 3 fields"
    assert [row["error"] for row in found] == [None, said, None]


def test_flags_and_unseen_categories_are_as_in_json(client: "Client") -> None:
    body = b"age,plan\r\n40,gold\r\n40,basic\r\n"
    found = told(CSV, client.post("/predict_batch", content=body, headers={"content-type": CSV}).content)
    assert [row["flags"] for row in found] == ["unseen_category:plan", None]


def test_a_table_is_logged_as_one_record_with_the_same_rows_as_json(client: "Client", written: "Written") -> None:
    for kind in (JSON, ARROW):
        client.post("/predict_batch", content=BODIES[kind], headers={"content-type": kind})
    assert [kind for kind, *_ in written.records] == ["batch", "batch"]
    made = [strip(each) for each in written.observed()]
    assert made[:4] == made[4:]


def test_rows_are_assigned_as_one_by_one(client: "Client", world: "World", arms: Arms) -> None:
    world.goes_live(Arm("1.0.0", 0.5), Arm("1.1.0", 0.5, listens=True))
    arms.refresh(1.0)
    many = {name: [values[n % 4] for n in range(60)] for name, values in ROWS.items()}
    many["entity"] = [f"c{n}" for n in range(60)]
    one = told(JSON, client.post("/predict_batch", content=as_requests(many), headers={"content-type": JSON}).content)
    all_ = told(ARROW, client.post("/predict_batch", content=stream(many), headers={"content-type": ARROW}).content)
    assert {row["version"] for row in all_} == {"1.0.0", "1.1.0"}
    assert [row["version"] for row in one] == [row["version"] for row in all_]


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        (CSV, b"", 400),
        (CSV, b"age,age\r\n1,2\r\n", 400),
        (CSV, b'age,plan\r\n"1,2\r\n', 400),
        (CSV, b"\xff\xfe", 400),
        (CSV, b"aeg,plan\r\n1,basic\r\n", 422),
        (ARROW, b"", 400),
        (ARROW, b"ARROW1\0\0 and more", 400),
        (ARROW, stream(ROWS, compression="zstd"), 415),
        (ARROW, stream({"age": [[1]], "plan": ["basic"]}), 422),
        (ARROW, stream({"age": pa.nulls(100_001), "plan": pa.nulls(100_001)}), 413),
        (PARQUET, parquet({"age": pa.nulls(100_001), "plan": pa.nulls(100_001)}), 413),
        ("text/html", b"", 415),
    ],
)
def test_a_body_that_cannot_be_is_refused_with_its_reason(
    client: "Client", kind: str, body: bytes, status: int
) -> None:
    found = client.post("/predict_batch", content=body, headers={"content-type": kind})
    assert (found.status_code, found.headers["content-type"]) == (status, "application/problem+json")
    assert found.json()["detail"]


def test_no_flipped_byte_of_a_stream_is_more_than_a_problem() -> None:
    whole = stream({**ROWS, "plan": pa.array(ROWS["plan"]).dictionary_encode()})
    for at in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[at] ^= 0x55
        try:
            read_arrow(damaged)
        except Rejected as rejected:
            assert rejected.status in (400, 413, 415, 422)  # noqa: PT017


def test_distinct_texts_are_those_of_python() -> None:
    random = np.random.default_rng(5)
    for count in (3, 200):
        words = ["", "é", "x" * 80, *(f"word number {n}"[: random.integers(1, 30)] for n in range(count))]
        texts = [words[n] for n in random.integers(0, len(words), 400)]
        data = [each.encode() for each in texts]
        edges = np.concatenate([[0], np.cumsum([len(each) for each in data])])
        present = random.random(400) < 0.8
        found = distinct_texts(b"".join(data), edges, present)
        made = [None if code < 0 else found.values[code] for code in found.codes]
        assert made == [text if here else None for text, here in zip(texts, present, strict=True)]


@pytest.mark.parametrize(
    ("accepts", "asked"),
    [
        ([], CSV),
        (["*/*"], CSV),
        (["application/json"], JSON),
        (["text/csv;q=0.1, application/json;q=0.9"], JSON),
        (["application/*"], JSON),
        ([f"text/html, {ARROW};q=0.5, */*;q=0.1"], ARROW),
    ],
)
def test_the_best_format_that_is_taken_is_answered(accepts: list[str], asked: str) -> None:
    assert wanted(accepts, CSV) == asked


@pytest.mark.parametrize("accept", ["text/html", "text/csv;q=0, image/*", "application/json;q=none"])
def test_what_is_taken_by_nobody_is_refused(client: "Client", accept: str) -> None:
    found = client.post("/predict_batch", content=BODIES[JSON], headers={"content-type": JSON, "accept": accept})
    assert found.status_code == 406


def strip(record: Any) -> dict[str, Any]:
    """What of a record does not depend on which request it was, or on its time."""
    own = ("prediction_id", "request_id", "trace_id", "unit", "scoring_us", "before_log_us", "probability", "scores")
    made = {name: getattr(record, name) for name in record.__slots__ if name not in own}
    return made | {"probability": round(record.probability, 6), "scores": [round(each, 6) for each in record.scores]}
