"""How OpenAPI tells of the routes whose bodies are tables: their columns are those of the contract that is live."""

from typing import Any

from mainstay.scoring.encode import Input
from mainstay.serving.answers import Answered, of_answers
from mainstay.serving.arms import Live
from mainstay.serving.csvs import HEADER, as_csv
from mainstay.serving.formats import ARROW, CSV, PARQUET
from mainstay.serving.guard import BATCH_ROWS
from mainstay.serving.problems import MEDIA_TYPE
from mainstay.serving.table import TABLE_ROWS, entity_name
from mainstay.serving.v2 import OUTPUTS, TYPES, datatype

Schema = dict[str, Any]


def with_tables(document: Schema, live: Live | None, use_case: str) -> Schema:
    """The OpenAPI document with every format of `/predict_batch`, and the tensors of `/v2`, as they are taken now.

    Called after `schemas.with_live`, whose examples it writes in the other formats.
    """
    schemas = document["components"]["schemas"]
    inputs = () if live is None else live.arms[live.split.champion].bundle.encoder.inputs
    entity = "entity" if live is None else entity_name(live)
    batch = document["paths"]["/predict_batch"]["post"]
    asked, given = batch["requestBody"]["content"], batch["responses"]["200"]["content"]
    for kind, words in (
        (CSV, "CSV in UTF-8, a header and a line for each row; a blank is missing"),
        (ARROW, "an Arrow IPC stream without compression; texts may be dictionaries"),
        (PARQUET, "a Parquet file; where the server has the extra `serving-batch`, else 415"),
    ):
        told = {"type": "string", **({} if kind == CSV else {"format": "binary"})}
        columns = f"{words}; at most {TABLE_ROWS:,} rows. Columns: {_columns(inputs, entity)}."
        asked[kind] = {"schema": told | {"description": columns}}
        given[kind] = {"schema": told | {"description": f"Columns: {', '.join(HEADER)}."}}
    request = asked["application/json"].get("example")
    if live is not None and request is not None:
        row = request["rows"][0]
        asked[CSV]["example"] = _line([entity, *row["features"]]) + _line([row["entity"], *row["features"].values()])
        given[CSV]["example"] = as_csv(_answered(given["application/json"]["example"]["predictions"], live)).decode()
    document["components"]["responses"] = _ANYWHERE
    schemas["InferRequest"] = _infer_request(inputs, entity)
    schemas["InferResponse"] = _INFER_RESPONSE
    _give_v2(document, inputs, {"model": use_case, "version": live.split.champion} if live else {}, request)
    return document


def _columns(inputs: tuple[Input, ...], entity: str) -> str:
    words = {"category": "text", "integer": "integer", "number": "number"}
    told = [f"{each.name} ({words[each.type]}{', may be missing' if each.nullable else ''})" for each in inputs]
    return ", ".join([*told, f"{entity} (text or integer, may be left out)", "request_id (text, may be left out)"])


def _line(fields: list[Any]) -> str:
    quoted = ("" if each is None else str(each) for each in fields)
    return ",".join(f'"{each}"' if set(each) & set(',"\r\n') else each for each in quoted) + "\r\n"


def _answered(made: list[Schema], live: Live) -> Answered:
    return of_answers(made, "1" * 32, {version: arm.bundle.decide for version, arm in live.arms.items()})


def _infer_request(inputs: tuple[Input, ...], entity: str) -> Schema:
    name: Schema = {"type": "string", "minLength": 1}
    if inputs:
        name["enum"] = [*(each.name for each in inputs), entity, "request_id"]
    tensor = {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": name,
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2},
            "datatype": {"type": "string", "enum": list(TYPES)},
            "parameters": {"type": "object"},
            "data": {"type": "array", "items": {"type": ["number", "string", "boolean", "array", "null"]}},
        },
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["inputs"],
        "description": f"The same number of rows, at most {BATCH_ROWS:,}, in every input; null is missing.",
        "properties": {
            "id": {"type": ["string", "null"], "maxLength": 200},
            "parameters": {"type": ["object", "null"], "description": "given back as they are"},
            "inputs": {"type": "array", "items": tensor},
            "outputs": {
                "type": ["array", "null"],
                "description": "those wanted; all where none is named",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string", "enum": list(OUTPUTS)}},
                },
            },
        },
    }


_ANYWHERE: Schema = {
    name: {"description": words, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}}
    for name, words in (
        ("NotFound", "404: no route has this path"),
        ("MethodNotAllowed", "405: the route does not take this method; `Allow` says which it takes"),
        ("TooManyHeaders", "431: the headers are too large"),
    )
}
"""What is answered to requests that no operation is for."""

_INFER_RESPONSE: Schema = {
    "type": "object",
    "required": ["model_name", "model_version", "id", "outputs"],
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string", "description": "`several` where more than one version answered"},
        "id": {"type": "string", "description": "the request's, else the batch's"},
        "parameters": {"type": "object"},
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "shape", "datatype", "data"],
                "properties": {
                    "name": {"type": "string", "enum": list(OUTPUTS)},
                    "shape": {"type": "array", "items": {"type": "integer"}},
                    "datatype": {"type": "string", "enum": ["FP64", "BYTES"]},
                    "data": {"type": "array"},
                },
            },
        },
    },
}


def _give_v2(document: Schema, inputs: tuple[Input, ...], names: dict[str, str], request: Schema | None) -> None:
    """The protocol's error in the problems of its routes, and an example of a request."""
    row = None if request is None else request["rows"][0]
    problem = document["components"]["schemas"]["ProblemDocument"]
    error = {"type": "string", "description": "the `detail` again, as the Open Inference Protocol has it"}
    document["components"]["schemas"]["InferProblem"] = {
        **problem,
        "properties": problem["properties"] | {"error": error},
        "required": [*problem["required"], "error"],
    }
    for path, operations in document["paths"].items():
        if path != "/v2" and not path.startswith("/v2/"):
            continue
        for operation in operations.values():
            if "requestBody" not in operation:
                operation["responses"].pop("422", None)  # FastAPI's own, for paths that it takes as they are
            for told in operation["responses"].values():
                if MEDIA_TYPE in told.get("content", {}):
                    told["content"][MEDIA_TYPE] = {"schema": {"$ref": "#/components/schemas/InferProblem"}}
            for each in operation.get("parameters", ()):
                if each["name"] in names:
                    each["example"] = names[each["name"]]
            if row is not None and "requestBody" in operation:
                tensors = [
                    {"name": each.name, "shape": [1], "datatype": datatype(each), "data": [row["features"][each.name]]}
                    for each in inputs
                ]
                example = {"id": "mine-1", "inputs": tensors, "outputs": [{"name": "probability"}]}
                operation["requestBody"]["content"]["application/json"]["example"] = example
