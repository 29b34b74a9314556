"""The nodes of an ONNX graph, read from its bytes without the `onnx` package, which serving goes without.

ONNX is a protobuf (onnx/onnx.proto); only what tells a graph's nodes and their attributes apart is read.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mainstay.varints import signed, varint

_GRAPH, _NODE, _OPERATION, _ATTRIBUTE = 7, 1, 4, 5
_NAME, _FLOAT, _INTEGER, _TEXT, _FLOATS, _INTEGERS, _TEXTS = 1, 2, 3, 4, 7, 8, 9
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A node: what it does, and its attributes that are numbers, texts (as bytes) or lists of either."""

    operation: str
    attributes: dict[str, Any]


def graph_nodes(model: bytes) -> list[GraphNode]:
    """The nodes of a model's graph, in order. ValueError where these are not the bytes of a protobuf."""
    try:
        return [
            _node(node)
            for field, graph in _fields(memoryview(model))
            if field == _GRAPH
            for inner, node in _fields(graph)
            if inner == _NODE
        ]
    except (IndexError, struct.error, TypeError) as error:
        raise ValueError("not a protobuf") from error


def _node(data: memoryview) -> GraphNode:
    operation = ""
    attributes: dict[str, Any] = {}
    for field, value in _fields(data):
        if field == _OPERATION:
            operation = bytes(value).decode()
        elif field == _ATTRIBUTE:
            name, found = _attribute(value)
            attributes[name] = found
    return GraphNode(operation, attributes)


def _attribute(data: memoryview) -> tuple[str, Any]:
    name = ""
    single: Any = None
    listed: list[Any] = []
    for field, value in _fields(data):
        if field == _NAME:
            name = bytes(value).decode()
        elif field == _FLOAT:
            single = struct.unpack("<f", value)[0]
        elif field == _INTEGER:
            single = signed(value)
        elif field == _TEXT:
            single = bytes(value)
        elif field == _FLOATS:
            listed += struct.unpack(f"<{len(value) // 4}f", value)
        elif field == _INTEGERS:
            listed += map(signed, _packed(value) if isinstance(value, memoryview) else [value])
        elif field == _TEXTS:
            listed.append(bytes(value))
    return name, listed if single is None else single


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """The fields of a message with their numbers: integers as they are, everything else as bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            value, at = varint(data, at)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, at = varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"a protobuf has no field of kind {kind}")
        if at + size > len(data):
            raise ValueError("a field ends behind its message")
        yield key >> 3, data[at : at + size]
        at += size


def _packed(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = varint(data, at)
        yield value
