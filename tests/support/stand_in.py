"""The library that stands in for libedgetpu.so.1, compiled here, and models for it."""

import hashlib
import shutil
from pathlib import Path

from edge_detect.core import Image
from edge_detect.models import CatalogueEntry, find_model, load_model
from edge_detect.models.runtime import open_session
from support.compiled import shared_library
from support.echo_models import write_model

SOURCE = Path(__file__).parents[1] / "fakes" / "edge_tpu" / "stand_in.c"


class StandIn:
    """One compiled library, and what it is told to do; see its source.

    Args:
        folder: Where it is put, under the name of what it stands in for; it finds there what it
            is told.
    """

    def __init__(self, folder: Path) -> None:
        self.library = folder / "libedgetpu.so.1"
        self.orders = folder / "orders"
        self.nodes = [folder / f"orders.usb{number}" for number in range(8)]
        for node in self.nodes:
            node.touch()
        self.tell()
        shutil.copyfile(shared_library([SOURCE], "-Wall", "-Werror", "-O1"), self.library)

    def tell(self, *orders: str) -> None:
        """Have it do this, and nothing of what it was told before."""
        # In one step: it may be read at any moment.
        part = self.orders.with_suffix(".part")
        part.write_text("".join(f"{order}\n" for order in orders))
        part.replace(self.orders)


def write_twins(folder: Path, name: str = "echo") -> Path:
    """A tiny model for the CPU with its twin for an Edge TPU; returns the path of the first."""
    write_model(folder, "edgetpu-custom-op", name=f"{name}_edgetpu", top=f'cpu_twin = "{name}"')
    return write_model(folder, "echo-uint8", name=name, top=f'edgetpu = "{name}_edgetpu.tflite"')


def compile_bundled(folder: Path, name: str) -> Path:
    """A bundled model with a twin for the stand-in; returns the path of the first.

    The twin has the same inputs and outputs, and the one operator that models for an Edge TPU
    consist of. What it answers, the stand-in must be told (`answer FILE`).
    """
    entry = find_model(name)
    manifest = entry.manifest.read_text(encoding="utf-8")
    shutil.copyfile(entry.path, folder / entry.path.name)
    twin = f"{name}_edgetpu"
    (folder / f"{name}.toml").write_text(f'edgetpu = "{twin}"\n{manifest}', encoding="utf-8")
    content = _one_operator(entry)
    (folder / f"{twin}.tflite").write_bytes(content)
    for old, new in (
        (f'name = "{name}"', f'name = "{twin}"\ncpu_twin = "{name}"'),
        (f'file = "{entry.path.name}"', f'file = "{twin}.tflite"'),
        (entry.spec.sha256, hashlib.sha256(content).hexdigest()),
    ):
        manifest = manifest.replace(old, new, 1)
    (folder / f"{twin}.toml").write_text(manifest, encoding="utf-8")
    return folder / entry.path.name


def _one_operator(entry: CatalogueEntry) -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    kinds = {"int8": schema.TensorType.INT8, "uint8": schema.TensorType.UINT8}
    with open_session(entry.path, threads=1) as session:
        infos = [session.inputs[0], *session.outputs.values()]
    graph = schema.SubGraphT()
    graph.name, graph.tensors = "main", []
    for number, info in enumerate(infos):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = info.name, list(info.shape), number + 1
        tensor.type = kinds.get(info.dtype.name, schema.TensorType.FLOAT32)
        if info.scale:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [info.scale]
            tensor.quantization.zeroPoint = [info.zero_point]
        graph.tensors.append(tensor)
    code, operator = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = "edgetpu-custom-op", 1
    operator.opcodeIndex, operator.inputs = 0, [0]
    operator.outputs = list(range(1, len(infos)))
    graph.inputs, graph.outputs, graph.operators = [0], operator.outputs, [operator]
    model = schema.ModelT()
    model.version, model.description = 3, "stands in for a compiled model"
    model.operatorCodes, model.subgraphs = [code], [graph]
    model.buffers = [schema.BufferT() for _ in range(len(infos) + 1)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def record_answer(path: Path, name: str, image: Image) -> str:
    """Have the CPU infer one picture and keep the outputs; returns what the stand-in is told."""
    with load_model(name, accelerator="cpu", threads=1) as detector:
        detector(image)
        outputs = detector.outputs()
        order = list(detector.lanes.engine.session.outputs)
    path.write_bytes(b"".join(outputs[each].tobytes() for each in order))
    return f"answer {path}"
