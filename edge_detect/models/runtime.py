"""The one door to TFLite: opens a model file and hands out its tensors.

LiteRT (`ai-edge-litert`) is taken first, its predecessor `tflite-runtime` if that is the
one installed; both offer the same interpreter. Only `gpu` imports LiteRT besides.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from types import ModuleType, TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import AcceleratorError, ConfigError, DependencyError, ModelError
from edge_detect.models.chatter import without_announcements
from edge_detect.models.footprint import check_memory, least_footprint
from edge_detect.models.graph import check_graph
from edge_detect.models.packages import RUNTIMES, import_runtime, version_of
from edge_detect.models.resizing import expected_footprint, set_shape
from edge_detect.models.structure import check_structure
from edge_detect.models.tensors import TensorInfo

__all__ = ["RUNTIMES", "InterpreterSession", "default_threads", "open_session"]

# Said for every model on every CPU; warnings and errors stay.
_DELEGATE_ANNOUNCEMENT = b"INFO: Created TensorFlow Lite XNNPACK delegate"


def default_threads() -> int:
    """Threads for inference: one less than the cores, because capture and drawing need one.

    More than four bring nothing for models of this size: their layers are too small to split.
    """
    return max(1, min(4, len(os.sched_getaffinity(0)) - 1))


class InterpreterSession:
    """A model in an interpreter of this process, which runs it when it is waited for.

    Not thread-safe. Views of tensors point into the interpreter's memory: drop them before
    `invoke`, which raises RuntimeError while one is alive.

    Args:
        interpreter: With tensors allocated.
        runtime: Package and version, for reports.
        threads: Threads the interpreter was made with.
        cores: That whoever calls `finish` keeps to, as the interpreter's threads do.
        varying: Names of outputs whose shape depends on what is found.
        delegated: Whether a device runs it, whose failures are not the model's.
    """

    device = "cpu"
    slots = 1
    deferred = True

    def __init__(
        self,
        interpreter: Any,
        runtime: str,
        threads: int,
        cores: Sequence[int] = (),
        varying: Sequence[str] = (),
        *,
        delegated: bool = False,
    ) -> None:
        self.runtime = runtime
        self._delegated = delegated
        self.threads = threads
        self._cores = cores
        self._varying = varying
        self.inputs = tuple(_describe(detail) for detail in interpreter.get_input_details())
        outputs = [_describe(detail) for detail in interpreter.get_output_details()]
        self.outputs = {output.name: output for output in outputs}
        self._interpreter: Any = interpreter
        self._output_views = [(output.name, interpreter.tensor(output.index)) for output in outputs]
        self._input_view = interpreter.tensor(self.inputs[0].index)
        self.invoke = interpreter.invoke

    def input_view(self, slot: int = 0) -> NDArray[Any]:  # noqa: ARG002 - there is one
        """The first input's memory, batch dimension included; writable."""
        view: NDArray[Any] = self._input_view()
        return view

    def output_views(self, slot: int = 0) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """The outputs' memory by tensor name, batch dimension included."""
        if self._varying:
            return self._views_of_varying()
        return {name: view() for name, view in self._output_views}

    def _views_of_varying(self) -> dict[str, NDArray[Any]]:
        views: dict[str, NDArray[Any]] = {}
        for name, view in self._output_views:
            # Interpreters give no view of a tensor without rows.
            with suppress(ValueError):
                views[name] = view()
        for name in self._varying:
            first = self.outputs[name].shape
            found = views[name].shape if name in views else "an empty one"
            if found != first:
                # Interpreters refuse to run while a view is alive, as in an error that is kept.
                views.clear()
                raise ModelError(
                    f"the output {name!r} changes its shape with the picture: {first}, now {found}",
                    "export the model without non-maximum suppression, or with a fixed number of"
                    " detections",
                )
        return views

    def begin(self, slot: int = 0) -> None:
        """Nothing yet: the thread that waits for the result does the work."""

    def finish(self, slot: int = 0) -> int:  # noqa: ARG002
        """Infer what the input holds; returns how long it took, nanoseconds.

        Raises:
            ModelError: An operator failed, which may depend on the input.
        """
        # The calling thread works along with the interpreter's own.
        with kept_to(self._cores):
            begin_ns = perf_counter_ns()
            try:
                self.invoke()
            except RuntimeError as error:
                if self._delegated:
                    # The device failed rather than the model.
                    raise
                raise ModelError(
                    f"the model cannot be run: {' '.join(str(error).split())}",
                    "the file may be damaged; fetch or convert it again",
                ) from error
            return perf_counter_ns() - begin_ns

    def close(self) -> None:
        """Give the model's memory back; the session is of no use afterwards."""
        self.invoke = _raise_closed
        self._input_view = _raise_closed
        self._output_views = [(name, _raise_closed) for name, _ in self._output_views]
        self._interpreter = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_session(
    path: Path,
    *,
    threads: int | None = None,
    runtime: str | None = None,
    cpu_twin: str = "",
    cores: Sequence[int] = (),
    delegate: tuple[str, Mapping[str, str]] | None = None,
    input_shape: Sequence[int] | None = None,
) -> InterpreterSession:
    """Load a model file and allocate its tensors.

    Args:
        path: The `.tflite` file.
        threads: Threads that share one inference; by default `default_threads()`.
        runtime: `litert` or `tflite-runtime`; by default the environment variable
            EDGE_DETECT_RUNTIME, else the first that is installed.
        cpu_twin: The model to name when this one turns out to be compiled for an Edge TPU.
        cores: Cores that the threads keep to; empty for all.
        delegate: Library and options of what takes operators over from the CPU.
        input_shape: Shape of the input, taken where the file leaves it open.

    Raises:
        AcceleratorError: The delegate's library cannot be loaded, or finds no device.
        ModelError: The file is missing, no TFLite model, truncated, needs more memory than there
            is, or holds an operator that the runtime does not have.
        DependencyError: No runtime is installed, or it does not fit the others.
        ConfigError: The runtime's name is unknown.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    threads = threads or default_threads()
    check_header(path)
    name, module = import_runtime(runtime)
    package = RUNTIMES[name]
    try:
        # Not its path, which is mapped: a file that is written over while it is in use would end
        # the process with SIGBUS.
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read model {path}: {error.strerror}") from error
    try:
        check_structure(content)
        check_graph(content)
    except ValueError as error:
        raise _explain(error, path, cpu_twin) from error
    try:
        with without_announcements(_DELEGATE_ANNOUNCEMENT):
            delegates = [_load_delegate(module, *delegate)] if delegate else None
            with kept_to(cores):
                interpreter = module.Interpreter(
                    model_content=content,
                    num_threads=threads,
                    experimental_delegates=delegates,
                )
                varying = _allocate(interpreter, module, content, path, input_shape)
    except SystemError as error:
        raise DependencyError(
            f"{package.distribution} does not fit numpy {np.__version__}: it was built for numpy 1",
            f"install both together: {package.install}",
        ) from error
    except (ValueError, RuntimeError) as error:
        if delegate:
            raise _explain_refusal(error, path, *delegate) from error
        raise _explain(error, path, cpu_twin) from error
    return InterpreterSession(
        interpreter, version_of(name), threads, cores, varying, delegated=bool(delegate)
    )


def _allocate(
    interpreter: Any,
    module: ModuleType,
    content: bytes,
    path: Path,
    input_shape: Sequence[int] | None,
) -> list[str]:
    """Give an interpreter its memory, if there is enough; names of outputs of varying shape."""
    inputs = [_describe(detail) for detail in interpreter.get_input_details()]
    if not inputs:
        raise ModelError(f"{path} has no input", "export the whole network")
    shape = set_shape(interpreter, inputs, input_shape)
    if shape is None:
        check_memory(str(path), least_footprint(content))
        interpreter.allocate_tensors()
    else:
        # Delegates hide the shapes of what they take over.
        kinds = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        plain = partial(
            module.Interpreter, model_content=content, experimental_op_resolver_type=kinds
        )
        check_memory(str(path), expected_footprint(content, inputs[0], shape, plain))
        try:
            interpreter.allocate_tensors()
        except RuntimeError as error:
            size = f"{shape[2]}x{shape[1]}"
            raise ModelError(
                f"{path} cannot take pictures of {size}: {' '.join(str(error).split())}",
                "set another input.size in the manifest; most networks need multiples of 32",
            ) from error
    varying = [
        str(detail["name"])
        for detail in interpreter.get_output_details()
        if not _has_memory(interpreter, detail["index"])
    ]
    if varying:
        # Only now do they have a shape by which they can be described.
        interpreter.invoke()
    return varying


def _has_memory(interpreter: Any, index: int) -> bool:
    try:
        interpreter.tensor(index)()
    except ValueError:
        return False
    return True


@contextmanager
def kept_to(cores: Sequence[int]) -> Iterator[None]:
    """Have the threads that are made meanwhile run on these cores only; none means all.

    Raises:
        ConfigError: This process may not use one of them.
    """
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    if not set(cores) <= before:
        raise ConfigError(
            f"cores {_numbers(cores)} are not all there",
            f"this process may use {_numbers(before)}",
        )
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:
        raise ConfigError(f"may not keep to cores {_numbers(cores)}: {error.strerror}") from error
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _numbers(cores: Iterable[int]) -> str:
    return ", ".join(str(core) for core in sorted(cores))


def check_header(path: Path) -> None:
    """Check that a file says it is a TFLite model.

    Raises:
        ModelError: It does not, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            header = file.read(8)
    except OSError as error:
        raise ModelError(f"cannot read model {path}: {error.strerror}") from error
    if header[4:] != b"TFL3":
        what = "is empty" if not header else "is not a TFLite model"
        raise ModelError(f"{path} {what}", "a model file begins with four bytes and then 'TFL3'")


def _load_delegate(module: ModuleType, library: str, options: Mapping[str, str]) -> Any:
    try:
        return module.load_delegate(library, dict(options))
    except OSError as error:
        raise AcceleratorError(f"{library} cannot be loaded: {error}") from error
    except ValueError as error:
        # The first line is the runtime's own; libedgetpu mostly has nothing to add.
        said = " ".join(str(error).split("\n")[1:]).strip()
        device = options.get("device", "the device")
        raise AcceleratorError(
            f"{library} cannot open {device}: {said or 'it says no reason'}",
            "another program may have it, this user may not be allowed to, or it gets too little "
            "power; `edge-detect doctor` tells more",
        ) from error


def _explain_refusal(
    error: Exception, path: Path, library: str, options: Mapping[str, str]
) -> AcceleratorError:
    reason = " ".join(str(error).split())
    return AcceleratorError(
        f"{options.get('device', library)} refuses {path.name}: {reason}",
        "the model may be compiled for a newer runtime of the library, or the device does not get "
        "enough power",
    )


def _explain(error: Exception, path: Path, cpu_twin: str) -> ModelError:
    reason = " ".join(str(error).split())
    if "edgetpu-custom-op" in reason:
        twin = f"use {cpu_twin!r} instead" if cpu_twin else "use the model it was compiled from"
        return ModelError(
            f"{path} is compiled for an Edge TPU and does not run on a CPU (edgetpu-custom-op)",
            f"{twin}, which runs on any CPU",
        )
    _, marker, rest = reason.partition("unresolved custom op: ")
    if marker:
        operator = rest.split()[0].rstrip(".")
        return ModelError(
            f"{path} needs the custom operator {operator!r}, which the runtime does not have",
            "convert the model with built-in operators only",
        )
    if "Didn't find op for builtin" in reason:
        return ModelError(
            f"{path} uses an operator that this runtime does not have: {reason}",
            f"a newer runtime may have it: {RUNTIMES['litert'].install}",
        )
    return ModelError(
        f"{path} cannot be loaded: {reason}", "the file may be truncated; fetch or convert it again"
    )


def _describe(detail: Mapping[str, Any]) -> TensorInfo:
    scale, zero_point = detail["quantization"]
    return TensorInfo(
        name=str(detail["name"]),
        index=int(detail["index"]),
        shape=tuple(int(extent) for extent in detail["shape"]),
        dtype=np.dtype(detail["dtype"]),
        scale=float(scale),
        zero_point=int(zero_point),
        signature=_signature(detail),
    )


def _signature(detail: Mapping[str, Any]) -> tuple[int, ...]:
    stated = tuple(int(extent) for extent in detail.get("shape_signature", ()))
    return stated if -1 in stated else ()


def _raise_closed() -> Any:
    raise ValueError("the model must be open, got a closed one")
