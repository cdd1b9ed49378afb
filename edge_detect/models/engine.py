"""One loaded model with everything that surrounds its inference."""

from dataclasses import replace
from functools import partial
from threading import Lock
from time import perf_counter_ns
from traceback import clear_frames
from typing import Any, NamedTuple

from numpy.typing import NDArray

from edge_detect.core import Detections, ModelError
from edge_detect.models.catalogue import CatalogueEntry
from edge_detect.models.constants import read_constant
from edge_detect.models.inputs import describe_input
from edge_detect.models.output_copy import OutputCopy
from edge_detect.models.preprocess import InputBuffer, InputWriter
from edge_detect.models.selection import Selection
from edge_detect.models.session import Session
from edge_detect.models.tensors import Decoder, Thresholds

__all__ = ["Durations", "Engine"]

# Asked of the decoder when some objects are to be left out afterwards, so that many unwanted
# ones do not crowd out the wanted ones.
_MAX_BEFORE_SELECTION = 1000


class Durations(NamedTuple):
    """How long the steps of one frame took, nanoseconds.

    Attributes:
        write_ns: Writing into the model's input; 0 where `Engine.begin` did it.
        invoke_ns: The inference itself.
        decode_ns: From raw outputs to detections; copying the outputs counts.
    """

    write_ns: int
    invoke_ns: int
    decode_ns: int


class Engine:
    """Writes into a session's slots and decodes what comes out.

    A deferred session does its work in the calling thread, in one memory, which the next inference
    overwrites. `begin` copies the outputs that the decoder reads, so that another thread may decode
    the copy meanwhile; `run` decodes them where they are, before anything else is inferred. There
    are as many copies as frames were ever under way at a time, each either in a frame's hands or
    free for the next one.

    Args:
        entry: The model.
        session: It, loaded; closed together with the engine.

    Raises:
        ModelError: The file is not what its manifest says.
    """

    def __init__(self, entry: CatalogueEntry, session: Session) -> None:
        check_input(entry, session)
        self.session = session
        self._decoder = _make_decoder(entry, session)
        self._mids = tuple(entry.spec.mids)
        # Held while a deferred session's memory is written, inferred or read. All views of it
        # must be gone before it is released: interpreters refuse to run while one is alive.
        self._inferring = Lock()
        # Held while the decoder is at work. A thread that needs both takes this one second.
        self._decoding = Lock()
        self._free_copies: list[OutputCopy] = []
        self._writer = _make_writer(entry, session)

    def write(self, buffer: InputBuffer, slot: int) -> int:
        """Bring a prepared frame into a slot's input; returns how long it took, nanoseconds."""
        begin_ns = perf_counter_ns()
        self._writer.write(buffer.pixels, self.session.input_view(slot))
        return perf_counter_ns() - begin_ns

    def begin(self, buffer: InputBuffer, slot: int) -> tuple[int, OutputCopy | None]:
        """Have a prepared frame inferred; a deferred session has done so on return.

        Args:
            buffer: What is to be written; read only.
            slot: Where nothing is under way.

        Returns:
            How long the writing took, nanoseconds, and the outputs where they are there already.
            For `finish` or `abandon`, one of which must follow. The slot is free again where there
            are outputs.

        Raises:
            AcceleratorError: The device failed.
            ModelError: An operator failed, or an output has another shape than before.
        """
        if not self.session.deferred:
            write_ns = self.write(buffer, slot)
            self.session.begin(slot)
            return write_ns, None
        with self._inferring:
            write_ns = self.write(buffer, slot)
            invoke_ns = self.session.finish(slot)
            begin_ns = perf_counter_ns()
            copy = self._copy(self.session.output_views(slot))
            copy.invoke_ns, copy.copy_ns = invoke_ns, perf_counter_ns() - begin_ns
            return write_ns, copy

    def finish(
        self,
        slot: int,
        copy: OutputCopy | None,
        buffer: InputBuffer,
        thresholds: Thresholds,
        selection: Selection,
    ) -> tuple[Detections, Durations]:
        """Decode what `begin` had inferred, waiting for it where it is not there yet.

        Args:
            slot: As for `begin`.
            copy: From `begin`; given back by this call, whatever comes of it.
            buffer: What was written.
            thresholds: What is reported.
            selection: Which of it is.

        Raises:
            AcceleratorError: The device failed.
            ModelError: The outputs are impossible.
        """
        if copy is None:
            invoke_ns = self.session.finish(slot)
            found, decode_ns = self._decode(slot, None, buffer, thresholds, selection)
            return found, Durations(0, invoke_ns, decode_ns)
        invoke_ns, copy_ns = copy.invoke_ns, copy.copy_ns
        try:
            found, decode_ns = self._decode(slot, copy, buffer, thresholds, selection)
        finally:
            self._free_copies.append(copy)
        return found, Durations(0, invoke_ns, copy_ns + decode_ns)

    def abandon(self, slot: int, copy: OutputCopy | None) -> None:
        """Wait for what was begun where that is under way, and forget it.

        Args:
            slot: As for `begin`.
            copy: From `begin`; given back by this call.

        Raises:
            AcceleratorError: The device failed.
        """
        if copy is None:
            self.session.finish(slot)
        else:
            self._free_copies.append(copy)

    def run(
        self, slot: int, buffer: InputBuffer, thresholds: Thresholds, selection: Selection
    ) -> tuple[Detections, Durations]:
        """Infer and decode a prepared frame in one go, on a deferred session; copies nothing.

        Args:
            slot: Where nothing is under way.
            buffer: What is to be written; read only.
            thresholds: What is reported.
            selection: Which of it is.

        Raises:
            AcceleratorError: The device failed.
            ModelError: An operator failed, or the outputs are impossible.
        """
        with self._inferring:
            write_ns = self.write(buffer, slot)
            invoke_ns = self.session.finish(slot)
            try:
                found, decode_ns = self._decode(slot, None, buffer, thresholds, selection)
            except BaseException as error:
                # A stored error would keep the views alive.
                clear_frames(error.__traceback__)
                raise
            return found, Durations(write_ns, invoke_ns, decode_ns)

    def invoke(self, slot: int) -> None:
        """Infer whatever a slot's input holds.

        Args:
            slot: Where nothing is under way.

        Raises:
            AcceleratorError: The device failed.
            ModelError: An operator failed.
        """
        if not self.session.deferred:
            self.session.begin(slot)
            self.session.finish(slot)
            return
        with self._inferring:
            self.session.finish(slot)

    def outputs(self, slot: int) -> dict[str, NDArray[Any]]:
        """Copies of all outputs of a slot's last inference, by tensor name."""
        with self._inferring:
            return _copies_of(self.session.output_views(slot))

    def _copy(self, views: dict[str, NDArray[Any]]) -> OutputCopy:
        """Copy the outputs into memory that no frame has; under the lock."""
        free = self._free_copies
        copy = free.pop() if free else OutputCopy(self._decoder.reads)
        copy.take(views)
        return copy

    def _decode(
        self,
        slot: int,
        copy: OutputCopy | None,
        buffer: InputBuffer,
        thresholds: Thresholds,
        selection: Selection,
    ) -> tuple[Detections, int]:
        """What was found, and how long that took in nanoseconds."""
        letterbox, decode, frame = buffer.letterbox, self._decoder.decode, buffer.letterbox.frame
        with self._decoding:
            begin_ns = perf_counter_ns()
            outputs = self.session.output_views(slot) if copy is None else copy.outputs
            if not selection.leaves_out:
                found = selection.apply(decode(outputs, letterbox, thresholds), frame)
            else:
                wider = replace(
                    thresholds, max_detections=max(_MAX_BEFORE_SELECTION, thresholds.max_detections)
                )
                found = selection.apply(decode(outputs, letterbox, wider), frame)
                found = found[: thresholds.max_detections]
            if self._mids:
                found = found.with_mids(self._mids)
            return found, perf_counter_ns() - begin_ns


def _copies_of(views: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: view.copy() for name, view in views.items()}


def check_input(entry: CatalogueEntry, session: Session) -> None:
    """Refuse a model whose input is not what its manifest says.

    Raises:
        ModelError: Names the manifest, its key and the tensor.
    """
    tensor = describe_input(str(entry.path), session.inputs).tensor
    spec = entry.spec.input
    if tensor.shape == spec.tensor_shape:
        return
    width, height = entry.size
    if tensor.shape[3] == spec.channels:
        fact = f"input.size: {width}x{height}"
        hint = "correct input.size in the manifest (width, height)"
    else:
        fact = f"input.color: {spec.color!r}, input.size: {width}x{height}"
        hint = 'correct input.color in the manifest ("rgb" or "bgr" for 3 channels, "grey" for 1)'
    raise ModelError(
        f"{entry.manifest}: {fact} needs an input of shape {spec.tensor_shape}, but"
        f" {tensor.name!r} of {entry.path.name} has {tensor.shape}",
        hint,
    )


def _make_writer(entry: CatalogueEntry, session: Session) -> InputWriter:
    try:
        return InputWriter(entry.spec.input, session.inputs[0])
    except ModelError as error:
        raise ModelError(f"{entry.manifest}: {error.message}", error.hint) from error


def _make_decoder(entry: CatalogueEntry, session: Session) -> Decoder:
    # Kernels cost a tenth of a second to import; listing models does not need them.
    from edge_detect.models.decoders import make_decoder

    try:
        return make_decoder(entry.spec, session.outputs, partial(read_constant, entry.path))
    except ModelError as error:
        raise ModelError(f"{entry.manifest}: {error.message}", error.hint) from error
