"""Reading and rewriting TFLite files below the level that converters offer."""

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import DependencyError, ModelError
from edge_detect.models.structure import check_structure

__all__ = ["Graph"]

_DTYPES = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "FLOAT64": np.float64,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "INT32": np.int32,
    "UINT32": np.uint32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}


class Graph:
    """The one subgraph of a TFLite file, as objects that can be changed.

    Args:
        content: The file.

    Raises:
        DependencyError: LiteRT, which brings the schema, is not installed.
        ModelError: It is no TFLite file.
    """

    def __init__(self, content: bytes) -> None:
        try:
            from ai_edge_litert import schema_py_generated
            from ai_edge_litert.tools import flatbuffer_utils
        except ImportError as error:
            raise DependencyError(
                f"rewriting model files needs LiteRT: {error}", "pip install 'ai-edge-litert>=2.1'"
            ) from error
        self.schema: Any = schema_py_generated
        self._pack = flatbuffer_utils.convert_object_to_bytearray
        try:
            check_structure(content)
            self.model: Any = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
        except ValueError as error:
            raise ModelError(f"the file cannot be rewritten: {error}") from error
        self.subgraph: Any = self.model.subgraphs[0]
        for code in self.model.operatorCodes:
            # Old files have the one number only, newer ones both.
            code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
        numbers = vars(schema_py_generated.BuiltinOperator)
        self._kinds = {value: name for name, value in numbers.items() if isinstance(value, int)}

    def to_bytes(self) -> bytes:
        """The file; the same objects give the same bytes."""
        return bytes(self._pack(self.model))

    @property
    def tensors(self) -> list[Any]:
        """All tensors, by index."""
        tensors: list[Any] = self.subgraph.tensors
        return tensors

    @property
    def operators(self) -> list[Any]:
        """All operators, in the order of execution."""
        operators: list[Any] = self.subgraph.operators
        return operators

    def kind(self, operator: Any) -> str:
        """Name of an operator, as `CONV_2D`."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        kind: str = self._kinds[number]
        return kind

    def operator_code(self, kind: str, version: int) -> int:
        """Index of the operator code of a builtin operator, appended if the file has it not."""
        code = self.schema.OperatorCodeT()
        code.builtinCode = getattr(self.schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        return self._place_of(code)

    def name(self, index: int) -> str:
        """Name of a tensor."""
        name: bytes | str = self.tensors[index].name
        return name if isinstance(name, str) else name.decode()

    def readers(self, index: int) -> list[Any]:
        """The operators that take a tensor."""
        return [one for one in self.operators if index in one.inputs]

    def is_constant(self, index: int) -> bool:
        """Whether a tensor's values lie in the file."""
        return self.model.buffers[self.tensors[index].buffer].data is not None

    def values(self, index: int) -> NDArray[Any]:
        """A copy of the values of a constant tensor, of numbers or truth values."""
        tensor = self.tensors[index]
        data = np.asarray(self.model.buffers[tensor.buffer].data, np.uint8)
        types = {getattr(self.schema.TensorType, name): one for name, one in _DTYPES.items()}
        if tensor.type not in types:
            raise ModelError(f"the values of tensor {self.name(index)!r} are of an unknown type")
        return data.view(types[tensor.type]).reshape(self.shape(index)).copy()

    def set_values(self, index: int, values: NDArray[Any]) -> None:
        """Give a tensor constant values, of its type; its shape stays."""
        if self.tensors[index].buffer == 0:
            # Buffer 0 stands for no values at all, and is shared by all such tensors.
            self.model.buffers.append(self.schema.BufferT())
            self.tensors[index].buffer = len(self.model.buffers) - 1
        data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers[self.tensors[index].buffer].data = data

    def set_step(
        self, index: int, scale: float | NDArray[np.float64], zero: int, *, axis: int = 0
    ) -> None:
        """Say what the integers of a tensor stand for.

        Args:
            index: The tensor.
            scale: Real value of one step; an array has one for each index along `axis`.
            zero: The integer that stands for zero.
            axis: Along which the scales lie.
        """
        quantization = self.schema.QuantizationParametersT()
        quantization.scale = np.atleast_1d(np.asarray(scale, np.float32))
        quantization.zeroPoint = np.full(quantization.scale.shape, zero, np.int64)
        quantization.quantizedDimension = axis
        self.tensors[index].quantization = quantization

    def scale(self, index: int) -> float:
        """Real value of one step of a tensor that has one scale."""
        (scale,) = self.tensors[index].quantization.scale
        return float(scale)

    def add_tensor(self, name: str, shape: list[int], values: NDArray[Any] | None = None) -> int:
        """Append a float32 tensor, with values a constant one; gives its index."""
        buffer = self.schema.BufferT()
        self.model.buffers.append(buffer)
        tensor = self.schema.TensorT()
        tensor.name = name.encode()
        tensor.shape = np.array(shape, np.int32)
        tensor.type = self.schema.TensorType.FLOAT32
        tensor.buffer = len(self.model.buffers) - 1
        self.tensors.append(tensor)
        index = len(self.tensors) - 1
        if values is not None:
            self.set_values(index, values)
        return index

    def add_operator(
        self,
        kind: str,
        inputs: list[int],
        outputs: list[int],
        *,
        version: int = 1,
        custom_options: bytes | None = None,
    ) -> None:
        """Append an operator; with custom options, the custom operator called `kind`."""
        code = self.schema.OperatorCodeT()
        code.version = version
        operator = self.schema.OperatorT()
        if custom_options is None:
            code.builtinCode = getattr(self.schema.BuiltinOperator, kind)
        else:
            code.builtinCode = self.schema.BuiltinOperator.CUSTOM
            code.customCode = kind.encode()
            operator.customOptions = np.frombuffer(custom_options, np.uint8)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        operator.opcodeIndex = self._place_of(code)
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array(outputs, np.int32)
        self.operators.append(operator)

    def shape(self, index: int) -> tuple[int, ...]:
        """Shape of a tensor; () where the file does not say it."""
        shape = self.tensors[index].shape
        return () if shape is None else tuple(map(int, shape))

    def producer(self, index: int) -> Any:
        """The operator whose result a tensor is; None for inputs and constants."""
        return next((each for each in self.operators if index in each.outputs), None)

    def drop_unused_operators(self) -> None:
        """Remove operators whose results no output depends on."""
        needed, kept = set(map(int, self.subgraph.outputs)), []
        for operator in reversed(self.operators):
            if needed.intersection(map(int, operator.outputs)):
                needed.update(map(int, operator.inputs))
                kept.append(operator)
        self.subgraph.operators = kept[::-1]

    def _place_of(self, code: Any) -> int:
        """Index of an operator code, appended if the file does not have it."""
        codes = self.model.operatorCodes
        for index, other in enumerate(codes):
            same = (other.builtinCode, other.version) == (code.builtinCode, code.version)
            if same and other.customCode == code.customCode:
                return index
        codes.append(code)
        return len(codes) - 1

    def set_outputs(self, names: dict[str, int]) -> None:
        """Make these tensors the outputs, in this order and under these names."""
        for name, index in names.items():
            self.tensors[index].name = name.encode()
        self.subgraph.outputs = np.array(list(names.values()), np.int32)
        # Converters leave a signature that still lists the old names and order.
        self.model.signatureDefs = []

    def part(self, operators: list[Any], inputs: list[int], outputs: list[int]) -> bytes:
        """A file of some operators alone.

        Args:
            operators: In the order of execution.
            inputs: Tensors that become its inputs.
            outputs: Tensors that become its outputs.
        """
        model, whole = self.schema.ModelT(), self.model
        graph = self.schema.SubGraphT()
        used = {int(index) for one in operators for index in (*one.inputs, *one.outputs)}
        kept = sorted(used - {-1})
        place = {-1: -1, **{index: number for number, index in enumerate(kept)}}
        graph.tensors, model.buffers = [], [self.schema.BufferT()]
        for index in kept:
            tensor = copy.copy(self.tensors[index])
            if self.is_constant(index):
                model.buffers.append(whole.buffers[tensor.buffer])
                tensor.buffer = len(model.buffers) - 1
            else:
                tensor.buffer = 0
            graph.tensors.append(tensor)
        graph.operators = []
        for operator in operators:
            moved = copy.copy(operator)
            moved.inputs = np.array([place[int(one)] for one in operator.inputs], np.int32)
            moved.outputs = np.array([place[int(one)] for one in operator.outputs], np.int32)
            graph.operators.append(moved)
        graph.inputs = np.array([place[index] for index in inputs], np.int32)
        graph.outputs = np.array([place[index] for index in outputs], np.int32)
        model.version, model.operatorCodes, model.subgraphs = 3, whole.operatorCodes, [graph]
        return bytes(self._pack(model))

    def drop_unused(self) -> None:
        """Remove the tensors that no operator has, and the buffers that no tensor has."""
        used = {int(index) for index in (*self.subgraph.inputs, *self.subgraph.outputs)}
        for operator in self.operators:
            used |= {int(index) for index in (*operator.inputs, *operator.outputs)}
        kept = sorted(used - {-1})
        place = {-1: -1, **{index: number for number, index in enumerate(kept)}}
        for holder in (self.subgraph, *self.operators):
            holder.inputs = np.array([place[int(index)] for index in holder.inputs], np.int32)
            holder.outputs = np.array([place[int(index)] for index in holder.outputs], np.int32)
        self.subgraph.tensors = [self.tensors[index] for index in kept]
        # What other places of the file refer to buffers and tensors by number is of no use here.
        self.model.metadata, self.model.metadataBuffer, self.model.signatureDefs = [], [], []
        buffers = sorted({0, *(tensor.buffer for tensor in self.tensors)})
        self.model.buffers = [self.model.buffers[index] for index in buffers]
        for tensor in self.tensors:
            tensor.buffer = buffers.index(tensor.buffer)

    def drop_unused_codes(self) -> None:
        """Remove the operator codes that no operator has."""
        kept = sorted({int(operator.opcodeIndex) for operator in self.operators})
        self.model.operatorCodes = [self.model.operatorCodes[index] for index in kept]
        for operator in self.operators:
            operator.opcodeIndex = kept.index(int(operator.opcodeIndex))

    def describe(self, name: str, description: str) -> None:
        """Name the input `image`, the subgraph, and say in the file what it is."""
        self.tensors[self.subgraph.inputs[0]].name = b"image"
        self.subgraph.name = name.encode()
        self.model.description = description.encode()
        # Versions of the converter, which would change the bytes with every release.
        self.model.metadata = []
