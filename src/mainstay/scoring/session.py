"""The ONNX graph in memory: one float tensor in, one score per class out."""

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as onnx_errors

from mainstay.errors import Refused

CHUNK = 32
"""Rows scored at a time in a batch: the fastest size, and the one that replay repeats."""

_UNREADABLE = (
    onnx_errors.Fail,
    onnx_errors.InvalidGraph,
    onnx_errors.InvalidProtobuf,
    onnx_errors.InvalidArgument,
    onnx_errors.NotImplemented,
    onnx_errors.RuntimeException,
)


class Session:
    """A loaded graph. Safe to call from several threads at once; each call runs on the caller's thread alone.

    One thread, because scores that are signed, logged and replayed must not depend on how many cores a machine has.
    """

    def __init__(self, graph: bytes) -> None:
        """Load a graph. Refused if these are not the bytes of one with a float tensor in and scores out."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except _UNREADABLE as error:
            raise Refused(f"not an ONNX graph that can be run: {type(error).__name__}", "model.onnx") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 2:
            raise Refused("the graph must take one float tensor of shape (rows, places)", "model.onnx")
        self._input = inputs[0].name
        self._output = outputs[-1].name
        self.width = inputs[0].shape[1]

    def scores(self, tensor: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores of shape (n, classes), in the manifest's order, for a tensor of shape (n, width); n may be 0."""
        parts = [self._run(tensor[start : start + CHUNK]) for start in range(0, max(len(tensor), 1), CHUNK)]
        return np.concatenate(parts).astype(np.float64)

    def single(self, classes: int) -> "Single":
        """The same graph for one row at a time, without what is allocated and checked for each call."""
        return Single(self._session, self._input, self._output, int(self.width), classes)

    def _run(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        made: NDArray[np.float32] = self._session.run([self._output], {self._input: tensor})[0]
        return made


class Single:
    """A loaded graph bound to one row: write `tensor`, run, read. One thread at a time."""

    def __init__(self, session: onnxruntime.InferenceSession, takes: str, makes: str, width: int, classes: int) -> None:
        self.tensor = np.zeros((1, width), dtype=np.float32)
        """What is scored, shape (1, width)."""
        self._scores = np.zeros((1, classes), dtype=np.float32)
        self._session = session
        self._binding = session.io_binding()
        for bind, name, array in (
            (self._binding.bind_input, takes, self.tensor),
            (self._binding.bind_output, makes, self._scores),
        ):
            bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        self._made = self._scores.data.cast("B").cast("f")

    def run(self, place: int) -> float:
        """The score of the class at `place`, for the row that the tensor holds now."""
        self._session.run_with_iobinding(self._binding)
        return self._made[place]
