"""A graph's nodes, without the package that wrote them."""

import onnx
import pytest

from mainstay.scoring.bundle import Bundle
from mainstay.scoring.graph import graph_nodes


def test_nodes_and_attributes_are_those_that_onnx_reads(tiny_bundle: Bundle) -> None:
    told = onnx.load_from_string(tiny_bundle.model).graph.node
    found = graph_nodes(tiny_bundle.model)
    assert [each.operation for each in found] == [each.op_type for each in told]
    for ours, theirs in zip(found, told, strict=True):
        named = {each.name: onnx.helper.get_attribute_value(each) for each in theirs.attribute}
        plain = {
            name: value if isinstance(value, int | float | bytes) else list(value) for name, value in named.items()
        }
        assert ours.attributes == plain


def test_negative_numbers_and_packed_lists_are_read() -> None:
    node = onnx.helper.make_node("Any", [], [], few=[-1, 2**40], one=-7, real=0.5, text="x", reals=[0.25, 4.0])
    graph = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], []))
    [found] = graph_nodes(graph.SerializeToString())
    assert found.attributes == {"few": [-1, 2**40], "one": -7, "real": 0.5, "text": b"x", "reals": [0.25, 4.0]}


@pytest.mark.parametrize("damaged", [b"\xff", b"\x3a\x7f", b"\x3b", b"\x3a\x02\x0a\x7f"])
def test_what_is_no_protobuf_is_no_graph(damaged: bytes) -> None:
    with pytest.raises(ValueError, match=r"protobuf|field|message"):
        graph_nodes(damaged)
