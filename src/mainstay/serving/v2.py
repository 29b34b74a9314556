"""The Open Inference Protocol, version 2, as KServe, Triton and Seldon speak it: `/v2/…`, JSON over HTTP.

One input for each column of the contract (and, if they are known, one for the entity and one for request ids), n rows
in each; rows are read, assigned, scored, written down and counted as those of `/predict_batch`. The protocol has no
way to answer some rows and refuse others, so a row that is refused refuses all. Errors are the problem documents of
every other route, with the protocol's own `error` beside: a client of either finds what it looks for.
"""

import asyncio
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from typing import Any

import numpy as np
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from mainstay.nouns import Split
from mainstay.scoring.encode import Input
from mainstay.scoring.reading import Problem
from mainstay.scoring.table import Distinct, Given
from mainstay.serving.answering import Answering, live_of
from mainstay.serving.answers import Answered
from mainstay.serving.arms import Arms, Live
from mainstay.serving.columnar import Batch
from mainstay.serving.formats import Batched, count
from mainstay.serving.guard import BATCH_ROWS, JSON, Room, parse_json, read_body
from mainstay.serving.problems import Rejected, as_json
from mainstay.serving.schemas import problems
from mainstay.serving.table import Table, table_of

PLATFORM = "mainstay_onnx"
NUMBERS = ("FP64", "FP32", "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8")
TYPES = (*NUMBERS, "BYTES", "BOOL")
OUTPUTS: Mapping[str, str] = {
    "probability": "FP64",
    "scores": "FP64",
    "decision": "BYTES",
    "risk": "BYTES",
    "threshold": "FP64",
    "version": "BYTES",
    "flags": "BYTES",
    "prediction_id": "BYTES",
}
"""The outputs by name, with their types; each of shape [n], `scores` [n, classes]."""
SHOWN = 10
"""Rows that are told why they were refused."""
_FIELDS = ("id", "parameters", "inputs", "outputs")
_TENSOR = ("name", "shape", "datatype", "parameters", "data")


def add_v2(app: FastAPI, arms: Arms, name: str, answering: Answering, bodies: Room, batches: asyncio.Semaphore) -> None:
    """Add the routes to an application. The model's name is the use case's."""
    _add_told(app, arms, name)

    async def infer(request: Request, model: str, version: str | None) -> Response:
        if "inference-header-content-length" in request.headers:
            raise Rejected(415, "binary tensors are not read here: send the data as JSON, without binary_data_size")
        _known(arms, name, model, version)
        state = request.state
        async with read_body(request, bodies) as body, batches:
            live = _known(arms, name, model, version)
            what = Batched(
                body, JSON, JSON, state.trace_id, state.started, state.charge, getattr(state, "timeline", None)
            )
            made, answered_by = await asyncio.to_thread(_inferred, answering, name, live, what, version)
            await answering.committed()
        state.version = answered_by
        return Response(made, media_type="application/json")

    told: dict[str, Any] = {
        "responses": {200: {"description": "The outputs", "content": _json("InferResponse")}}
        | problems(400, 404, 408, 413, 415, 422, 500, 503),
        "openapi_extra": {"requestBody": {"required": True, "content": _json("InferRequest")}},
    }

    @app.post("/v2/models/{model}/infer", summary=f"Up to {BATCH_ROWS:,} predictions (Open Inference Protocol)", **told)
    async def infer_model(request: Request, model: str) -> Response:
        return await infer(request, model, None)

    @app.post("/v2/models/{model}/versions/{version}/infer", summary="The same, if that version answers", **told)
    async def infer_version(request: Request, model: str, version: str) -> Response:
        return await infer(request, model, version)


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _add_told(app: FastAPI, arms: Arms, name: str) -> None:
    """The routes that tell of the server and the model."""

    def told(fields: Sequence[str], *statuses: int) -> dict[str, Any]:
        schema = {"type": "object", "required": list(fields)}
        answer = {200: {"description": "As the protocol has it", "content": {"application/json": {"schema": schema}}}}
        return {"responses": answer | problems(*statuses)}

    @app.get("/v2", summary="The server (Open Inference Protocol)", **told(["name", "version", "extensions"]))
    async def read_server() -> Response:
        return _said({"name": "mainstay", "version": installed("mainstay"), "extensions": []})

    @app.get("/v2/health/live", summary="Whether the process runs", **told(["live"]))
    async def read_live() -> Response:
        return _said({"live": True})

    @app.get("/v2/health/ready", summary="Whether it can answer", **told(["ready"], 503))
    async def read_ready() -> Response:
        _ready(arms)
        return _said({"ready": True})

    async def read_model(model: str, version: str | None) -> Response:
        live = _known(arms, name, model, version)
        return _said(metadata(name, live, version or live.split.champion))

    fields = ["name", "versions", "platform", "inputs", "outputs"]

    @app.get("/v2/models/{model}", summary="What a model takes and gives", **told(fields, 404, 503))
    async def read_named(model: str) -> Response:
        return await read_model(model, None)

    @app.get("/v2/models/{model}/versions/{version}", summary="The same of a version", **told(fields, 404, 503))
    async def read_version(model: str, version: str) -> Response:
        return await read_model(model, version)

    ready = ["name", "ready"]

    @app.get("/v2/models/{model}/ready", summary="Whether a model can answer", **told(ready, 404, 503))
    async def read_model_ready(model: str) -> Response:
        _known(arms, name, model, None)
        _ready(arms)
        return _said({"name": name, "ready": True})

    @app.get("/v2/models/{model}/versions/{version}/ready", summary="The same of a version", **told(ready, 404, 503))
    async def read_version_ready(model: str, version: str) -> Response:
        _known(arms, name, model, version)
        _ready(arms)
        return _said({"name": name, "ready": True})


def _said(value: Any) -> Response:
    return Response(as_json(value), media_type="application/json")


def _ready(arms: Arms) -> None:
    found = arms.health()
    if not found.ready:
        raise Rejected(503, f"not ready: {found.reason}", headers={"retry-after": "1"})


def _known(arms: Arms, name: str, model: str, version: str | None) -> Live:
    """What is live, if it is asked for by the names that it has. Rejected with 404 otherwise, and 503."""
    live = live_of(arms)
    if model != name:
        raise Rejected(404, f"there is no such model; this server has `{name}`")
    if version is not None and version not in _answering(live.split):
        raise Rejected(404, f"that version does not answer; {', '.join(_answering(live.split))} does")
    return live


def _answering(split: Split) -> list[str]:
    return [arm.version for arm in split.arms if arm.share > 0]


def metadata(name: str, live: Live, version: str) -> dict[str, Any]:
    """What a version takes and gives. An input whose shape begins with -1 takes any number of rows."""
    bundle = live.arms[version].bundle
    inputs = [{"name": each.name, "datatype": datatype(each), "shape": [-1]} for each in bundle.encoder.inputs]
    shapes = {each: [-1, len(bundle.decide.classes)] if each == "scores" else [-1] for each in OUTPUTS}
    outputs = [{"name": each, "datatype": kind, "shape": shapes[each]} for each, kind in OUTPUTS.items()]
    optional = {"datatype": "BYTES", "shape": [-1], "parameters": {"optional": True}}
    beside = [{"name": each, **optional} for each in ("entity", "request_id")]
    return {
        "name": name,
        "versions": _answering(live.split),
        "platform": PLATFORM,
        "inputs": inputs + [each for each in beside if each["name"] not in live.rows[version].features],
        "outputs": outputs,
        "parameters": {"classes": list(bundle.decide.classes), "positive": bundle.decide.positive},
    }


def datatype(given: Input) -> str:
    """The protocol's type of an input."""
    return {"category": "BYTES", "integer": "INT64", "number": "FP64"}[given.type]


def _inferred(answering: Answering, name: str, live: Live, what: Batched, version: str | None) -> tuple[bytes, str]:
    given = parse_json(what.body)
    table, wanted = read_infer(given, live)
    what.charge(table.rows)
    if what.timeline is not None:
        what.timeline.step("validate")
    batch = Batch(answering, live, table, what.trace_id, what.started, what.timeline)
    if batch.made.rejected:
        raise _refusal(batch.made.rejected)
    if version is not None and any(assignment.version != version for assignment, _ in batch.groups):
        raise Rejected(422, "the split gives these rows to another version: ask the model, without a version")
    made = batch.answered()
    failed = next(iter(made.rejected.values()), None)
    if failed is not None:
        raise failed
    answered_by = count(made)
    told: dict[str, Any] = {"model_name": name, "model_version": answered_by}
    told["id"] = given.get("id") or str(made.ids)
    if given.get("parameters"):
        told["parameters"] = given["parameters"]
    told["outputs"] = [_output(each, made) for each in wanted]
    return as_json(told), answered_by


def _refusal(refused: Mapping[int, Rejected]) -> Rejected:
    problems = [
        Problem(f"{each.field}[{row}]", each.reason, each.expected)
        for row in sorted(refused)[:SHOWN]
        for each in refused[row].errors
    ]
    row = min(refused)
    detail = f"row {row}: {refused[row].detail}; {len(refused):,} are refused, so none is answered"
    return Rejected(422, detail, problems)


def read_infer(given: Any, live: Live) -> tuple[Table, list[str]]:
    """The rows of a request and the outputs it wants. Rejected with 422 or 413 where it is none of the protocol."""
    if not isinstance(given, dict) or not isinstance(given.get("inputs"), list):
        raise _wrong("inputs", "is not an array", "an array of tensors, one for each feature")
    unknown = next((each for each in given if each not in _FIELDS), None)
    if unknown is not None:
        raise _wrong(unknown[:64], "unknown field", f"one of {', '.join(_FIELDS)}")
    if not isinstance(given.get("id"), str | None) or len(given.get("id") or "") > 200:
        raise _wrong("id", "is not a text", "a text of at most 200 characters")
    if not isinstance(given.get("parameters"), dict | None):
        raise _wrong("parameters", "is not an object", "an object")
    columns: dict[str, Given] = {}
    rows: int | None = None
    for n, tensor in enumerate(given["inputs"]):
        place = f"inputs[{n}]"
        name, column = _tensor(tensor, place)
        if name in columns:
            raise _wrong(place, "names an input twice", "each input once")
        size = len(column.codes if isinstance(column, Distinct) else column)
        if rows is not None and size != rows:
            raise _wrong(place, "has another number of rows than the first", f"{rows} rows")
        rows, columns[name] = size, column
    return table_of(rows or 0, columns, {}, live), _wanted(given.get("outputs"))


def _wanted(outputs: Any) -> list[str]:
    if outputs is None or outputs == []:
        return list(OUTPUTS)
    expected = f"an array of outputs by name, of {', '.join(OUTPUTS)}"
    if not isinstance(outputs, list):
        raise _wrong("outputs", "is not an array", expected)
    names = []
    for n, each in enumerate(outputs):
        name = each.get("name") if isinstance(each, dict) else None
        if not isinstance(name, str) or name not in OUTPUTS or name in names:
            raise _wrong(f"outputs[{n}]", "is no output, or is there twice", expected)
        names.append(name)
    return names


def _tensor(tensor: Any, place: str) -> tuple[str, Given]:
    if not isinstance(tensor, dict) or any(name not in _TENSOR for name in tensor):
        raise _wrong(place, "is not a tensor", f"an object with {', '.join(_TENSOR)}")
    name, shape, kind, data = (tensor.get(each) for each in ("name", "shape", "datatype", "data"))
    if not isinstance(name, str) or not name:
        raise _wrong(f"{place}.name", "is not a text", "the name of a feature")
    if kind not in TYPES:
        raise _wrong(f"{place}.datatype", "is not a type that is read", f"one of {', '.join(TYPES)}")
    if not isinstance(shape, list) or not all(isinstance(each, int) and not isinstance(each, bool) for each in shape):
        raise _wrong(f"{place}.shape", "is not an array of integers", "[rows] or [rows, 1]")
    if len(shape) not in (1, 2) or shape[1:] not in ([], [1]) or shape[0] < 0:
        raise _wrong(f"{place}.shape", "is not that of a column", "[rows] or [rows, 1]")
    if shape[0] > BATCH_ROWS:
        raise Rejected(413, f"there are {shape[0]:,} rows; at most {BATCH_ROWS:,} are taken: send several")
    if not isinstance(data, list):
        raise _wrong(f"{place}.data", "is not an array", "the values as JSON; binary data is not read")
    if data and all(isinstance(each, list) and len(each) == 1 for each in data):
        data = [each[0] for each in data]
    if len(data) != shape[0]:
        raise _wrong(f"{place}.data", "has not as many values as its shape says", f"{shape[0]} values")
    return name, _column(data, kind, f"{place}.data")


def _column(data: Sequence[Any], kind: str, place: str) -> Given:
    """The values of a tensor; null is missing, which the protocol itself cannot say."""
    taken: tuple[type, ...] = {"BYTES": (str,), "BOOL": (bool,)}.get(kind, (int, float))
    for each in data:
        if each is not None and (not isinstance(each, taken) or (isinstance(each, bool) and kind != "BOOL")):
            raise _wrong(place, f"has a value that is not {kind}", f"{kind} values, or null for what is missing")
    if kind in NUMBERS and not any(isinstance(each, int) and abs(each) >= 2**53 for each in data):
        return np.array([np.nan if each is None else each for each in data], dtype=np.float64)
    places: dict[Any, int] = {}
    codes = [-1 if each is None else places.setdefault(each, len(places)) for each in data]
    return Distinct(np.array(codes, dtype=np.int32), tuple(places))


def _output(name: str, made: Answered) -> dict[str, Any]:
    rows = made.rows
    shape = [rows]
    data: list[Any]
    match name:
        case "probability":
            data = made.probability.tolist()
        case "threshold":
            data = made.thresholds().tolist()
        case "scores":
            shape = [rows, 2]
            data = []
            for row in range(rows):
                answer = made.answer(row)
                data += [] if isinstance(answer, Rejected) else answer["scores"]
        case "flags":
            data = [" ".join(made.flags.get(row, ())) for row in range(rows)]
        case "prediction_id":
            data = [made.id_of(row) for row in range(rows)]
        case _:
            data = {"decision": made.decision, "risk": made.risk, "version": made.version}[name].listed()
    return {"name": name, "datatype": OUTPUTS[name], "shape": shape, "data": data}


def _wrong(field: str, reason: str, expected: str) -> Rejected:
    return Rejected(422, f"{field}: {reason}", [Problem(field, reason, expected)])
