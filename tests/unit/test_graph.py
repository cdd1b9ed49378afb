"""Files whose parts do not fit together are refused before a runtime sees them."""

import contextlib
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st
from support.echo_models import MODELS
from support.mutations import mutate

from edge_detect.core import ModelError
from edge_detect.models.graph import check_graph
from edge_detect.models.runtime import open_session
from edge_detect.models.structure import check_structure


def changed(change):
    """One of the tiny models with something in its tables changed."""
    content = (MODELS / "echo-int8.tflite").read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    change(model, model.subgraphs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def nothing(model, graph):
    """A sound model."""


def no_graph(model, graph):
    model.subgraphs = []


def unknown_input(model, graph):
    graph.inputs = [2]


def unknown_output(model, graph):
    graph.outputs = [-1]


def unknown_buffer(model, graph):
    graph.tensors[1].buffer = 9


def unknown_type(model, graph):
    graph.tensors[0].type = 99


def negative_shape(model, graph):
    graph.tensors[0].shape = [1, -8, 8, 3]


def unknown_code(model, graph):
    graph.operators[0].opcodeIndex = 1


def unknown_taken(model, graph):
    graph.operators[0].inputs = [7]


def unknown_made(model, graph):
    graph.operators[0].outputs = [7]


def own_output(model, graph):
    graph.operators[0].inputs = [1]


def onto_the_input(model, graph):
    graph.operators[0].outputs = [0]


def twice(model, graph):
    graph.operators *= 2


def constant_output(model, graph):
    model.buffers.append(schema.BufferT())
    model.buffers[-1].data = np.zeros(1 * 4 * 4 * 12, np.uint8)
    graph.tensors[1].buffer = len(model.buffers) - 1


def short_constant(model, graph):
    constant_output(model, graph)
    model.buffers[-1].data = model.buffers[-1].data[:-1]


def no_operator(model, graph):
    graph.operators = []


def other_type(model, graph):
    graph.tensors[1].type = schema.TensorType.UINT16


def lacking(model, graph):
    model.operatorCodes[0].builtinCode = schema.BuiltinOperator.CONV_2D
    model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    graph.operators[0].inputs = [0, -1]


def nothing_first(model, graph):
    graph.operators[0].inputs = [-1]


def infinite_scale(model, graph):
    graph.tensors[0].quantization.scale = [float("nan")]


def data_elsewhere(model, graph):
    model.buffers[1].offset, model.buffers[1].size = 1 << 40, 64


DAMAGES = {
    no_graph: "holds no graph",
    unknown_input: "an input of the graph is tensor 2 of 2",
    unknown_output: "an output of the graph is tensor -1 of 2",
    unknown_buffer: "tensor 1 of the graph has buffer 9",
    unknown_type: "tensor 0 of the graph has type 99",
    negative_shape: r"tensor 0 of the graph has the shape \(1, -8, 8, 3\)",
    unknown_code: "operator 0 of the graph has code 1 of 1",
    unknown_taken: "operator 0 of the graph takes tensor 7 of 2",
    unknown_made: "operator 0 of the graph writes tensor 7 of 2",
    own_output: "operator 0 of the graph takes tensor 1 before anything wrote it",
    onto_the_input: "operator 0 of the graph writes tensor 0, which has been written before",
    twice: "operator 1 of the graph writes tensor 1, which has been written before",
    constant_output: "operator 0 of the graph writes tensor 1, which is a constant",
    short_constant: "tensor 1 of the graph takes 192 bytes, and has 191",
    no_operator: "nothing writes tensor 1, an output of the graph",
    other_type: r"operator 0 of the graph copies between the types \[9, 16\]",
    lacking: "operator 0 of the graph takes two tensors, and lacks one of them",
    nothing_first: "operator 0 of the graph takes nothing where its first tensor should be",
    infinite_scale: "tensor 0 of the graph has a scale that is negative or not finite",
    data_elsewhere: "buffer 1 lies beyond its end",
}


@pytest.mark.parametrize("change", DAMAGES, ids=lambda change: change.__name__)
def test_parts_that_do_not_fit_together_are_named(change, tmp_path):
    content = changed(change)
    check_structure(content)
    with pytest.raises(ValueError, match=DAMAGES[change]):
        check_graph(content)
    path = tmp_path / "damaged.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"cannot be loaded: .*{DAMAGES[change]}"):
        open_session(path)


def test_every_shipped_model_holds_together():
    check_graph(changed(nothing))
    for path in sorted(MODELS.parents[1].glob("models_tflite/*.tflite")):
        check_graph(path.read_bytes())
    for path in sorted(Path(MODELS).glob("*.tflite")):
        check_graph(path.read_bytes())


@given(seed=st.integers(0, 2**32), name=st.sampled_from(["echo-int8", "newer-op", "made-up-op"]))
def test_whatever_was_damaged_nothing_but_a_clear_error_comes_out(seed, name):
    content, _ = mutate((MODELS / f"{name}.tflite").read_bytes(), seed)
    # Any other exception would reach the user as a traceback.
    with contextlib.suppress(ValueError):
        check_structure(content)
        check_graph(content)
