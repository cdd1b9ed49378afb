"""One loaded model with everything that surrounds its inference."""

from dataclasses import replace
from functools import partial
from threading import Lock
from time import perf_counter_ns
from typing import Any, NamedTuple

from numpy.typing import NDArray

from edge_detect.core import Detections, ModelError
from edge_detect.models.catalogue import CatalogueEntry
from edge_detect.models.constants import read_constant
from edge_detect.models.inputs import describe_input
from edge_detect.models.preprocess import InputBuffer, InputWriter
from edge_detect.models.selection import Selection
from edge_detect.models.session import Session
from edge_detect.models.tensors import Decoder, Thresholds

__all__ = ["Durations", "Engine"]

# Asked of the decoder when some objects are to be left out afterwards, so that many unwanted
# ones do not crowd out the wanted ones.
_MAX_BEFORE_SELECTION = 1000


class Durations(NamedTuple):
    """How long the steps of one frame took, nanoseconds; 0 for what was done before."""

    write_ns: int
    invoke_ns: int
    decode_ns: int


class Engine:
    """Writes into a session's slots and decodes what comes out.

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
        self._working = Lock()
        self._writer = _make_writer(entry, session)

    def write(self, buffer: InputBuffer, slot: int) -> None:
        """Bring a prepared frame into a slot's input."""
        # The view dies with this call: interpreters refuse to run while one is alive.
        self._writer.write(buffer.pixels, self.session.input_view(slot))

    def finish(
        self, slot: int, buffer: InputBuffer, thresholds: Thresholds, selection: Selection
    ) -> tuple[Detections, Durations]:
        """Wait for a slot's outputs, and decode them.

        Args:
            slot: Begun before, unless the session defers it to now.
            buffer: What was, or is to be, written.
            thresholds: What is reported.
            selection: Which of it is.

        Raises:
            AcceleratorError: The device failed.
        """
        if not self.session.deferred:
            invoke_ns = self.session.finish(slot)
            with self._working:
                return self._decode(slot, buffer, thresholds, selection, 0, invoke_ns)
        with self._working:
            begin_ns = perf_counter_ns()
            self.write(buffer, slot)
            write_ns = perf_counter_ns() - begin_ns
            invoke_ns = self.session.finish(slot)
            return self._decode(slot, buffer, thresholds, selection, write_ns, invoke_ns)

    def _decode(
        self,
        slot: int,
        buffer: InputBuffer,
        thresholds: Thresholds,
        selection: Selection,
        write_ns: int,
        invoke_ns: int,
    ) -> tuple[Detections, Durations]:
        begin_ns = perf_counter_ns()
        views, letterbox = self.session.output_views(slot), buffer.letterbox
        decode, frame = self._decoder.decode, letterbox.frame
        if not selection.leaves_out:
            found = selection.apply(decode(views, letterbox, thresholds), frame)
        else:
            wider = replace(
                thresholds, max_detections=max(_MAX_BEFORE_SELECTION, thresholds.max_detections)
            )
            found = selection.apply(decode(views, letterbox, wider), frame)
            found = found[: thresholds.max_detections]
        if self._mids:
            found = found.with_mids(self._mids)
        return found, Durations(write_ns, invoke_ns, perf_counter_ns() - begin_ns)

    def outputs(self, slot: int) -> dict[str, NDArray[Any]]:
        """Copies of a slot's outputs, by tensor name."""
        with self._working:
            views = self.session.output_views(slot)
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
