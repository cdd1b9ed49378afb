"""Shapes of outputs that only a runtime knows: those of models that take pictures of any size."""

from dataclasses import replace

from edge_detect.core import Size
from edge_detect.models.file.graph import FileGraph
from edge_detect.models.inputs import shape_to_set
from edge_detect.models.runtime import open_session
from edge_detect.models.trial import check_by_trial

__all__ = ["with_size"]


def with_size(graph: FileGraph, size: Size) -> FileGraph:
    """The graph for a size of the input, where the file leaves the size open.

    Args:
        graph: Of the file.
        size: Width and height of the input.

    Returns:
        Unchanged where the file tells all shapes.

    Raises:
        ModelError: The model cannot be loaded.
    """
    image = graph.inputs[0].info
    shape = shape_to_set(image, (1, size.height, size.width, image.shape[-1]))
    if shape is None:
        return graph
    check_by_trial(graph.path, shape)
    with open_session(graph.path, threads=1, input_shape=shape) as session:
        outputs = tuple(
            replace(each, shape=session.outputs[each.name].shape)
            for each in graph.outputs
            if each.name in session.outputs
        )
    inputs = (replace(graph.inputs[0], shape=shape), *graph.inputs[1:])
    return replace(graph, inputs=inputs, outputs=outputs)
