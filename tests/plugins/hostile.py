"""Bundles that do what they always did, save for those who are 120 years old: for them each turns hostile."""

import dataclasses
from typing import Any

import onnx
from onnx import TensorProto, helper

from mainstay.scoring.bundle import Bundle

HOSTILE = ("raises", "not a number", "slow", "hangs")
ROUNDS = {"slow": 300_000, "hangs": 2**40}


def _constant(name: str, kind: int, values: list[Any], shape: list[int]) -> onnx.TensorProto:
    return helper.make_tensor(name, kind, shape, values)


def turned(bundle: Bundle, how: str, rounds: int | None = None) -> Bundle:
    """The bundle with a graph that turns on whoever is 120; its other scores, the golden ones too, stay.

    `rounds` is how often a slow one, or one that hangs, goes round.
    """
    model = onnx.load_from_string(bundle.model)
    made = model.graph
    output = made.node[-1].output[0]
    made.node[-1].output[0] = "tame"
    made.initializer.extend(
        [
            _constant("first", TensorProto.INT64, [0], [1]),
            _constant("limit", TensorProto.FLOAT, [119.0], [1]),
            _constant("whole", TensorProto.INT64, [0], [1]),
        ]
    )
    made.node.extend(
        [
            helper.make_node("Gather", ["rows", "first"], ["age"], axis=1),
            helper.make_node("Greater", ["age", "limit"], ["turns"]),
            helper.make_node("Cast", ["turns"], ["each"], to=TensorProto.INT64),
            helper.make_node("ReduceMax", ["each"], ["any"], keepdims=0),
        ]
    )
    if how == "raises":
        made.initializer.extend([_constant("zero row", TensorProto.FLOAT, [0.0], [1])])
        made.node.extend(
            [
                helper.make_node("Gather", ["zero row", "any"], ["nothing"]),  # there is no second place: out of bounds
                helper.make_node("Add", ["tame", "nothing"], [output]),
            ]
        )
    elif how == "not a number":
        made.initializer.extend([_constant("nan", TensorProto.FLOAT, [float("nan")], [1])])
        made.node.extend([helper.make_node("Where", ["turns", "nan", "tame"], [output])])
    else:
        made.initializer.extend([_constant("rounds", TensorProto.INT64, [rounds or ROUNDS[how]], [])])
        body = helper.make_graph(
            [
                helper.make_node("Identity", ["go"], ["go on"]),
                helper.make_node("Identity", ["sofar"], ["after"]),
            ],
            "round",
            [
                helper.make_tensor_value_info("n", TensorProto.INT64, []),
                helper.make_tensor_value_info("go", TensorProto.BOOL, []),
                helper.make_tensor_value_info("sofar", TensorProto.FLOAT, None),
            ],
            [
                helper.make_tensor_value_info("go on", TensorProto.BOOL, []),
                helper.make_tensor_value_info("after", TensorProto.FLOAT, None),
            ],
        )
        made.node.extend(
            [
                helper.make_node("Mul", ["any", "rounds"], ["trips"]),
                helper.make_node("Loop", ["trips", "", "tame"], [output], body=body),
            ]
        )
    return dataclasses.replace(bundle, model=model.SerializeToString())
