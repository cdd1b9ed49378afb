"""Edge TPUs: on which bus, how fast, and whether their library fits."""

from collections.abc import Iterator

from edge_detect.models.edge_tpu import EDGE_TPU_LIBRARY
from edge_detect.tools.devices.edge_tpus import EdgeTpuLibrary, find_edge_tpus, judge_library
from edge_detect.tools.devices.judgement import Judgement, State
from edge_detect.tools.doctor.finding import Finding, ok, warn
from edge_detect.tools.doctor.place import Place
from edge_detect.tools.doctor.probe import ask

__all__ = ["look_at_edge_tpus"]

# Longer than the probe itself waits for the library, which then says more.
_PROBE_S = 25.0
_BUSES = {"usb": "USB", "pci": "PCIe"}


def look_at_edge_tpus(place: Place) -> Iterator[Finding]:
    """Every Edge TPU, and the library that they need."""
    present = find_edge_tpus(place.root)
    for device in present:
        yield _report(f"Edge TPU {_BUSES[device.bus]} {device.place}", device.judgement)
    if not present:
        yield ok("Edge TPU", "none; models run on the CPU")
    found = ask(place, "edge_tpu", EDGE_TPU_LIBRARY, timeout_s=_PROBE_S)
    said = EdgeTpuLibrary.load(found)
    yield _report("libedgetpu", judge_library(said, present, place.root))


def _report(what: str, judged: Judgement) -> Finding:
    """Nothing about Edge TPUs is a failure: models run on the CPU without them."""
    if judged.state in (State.OK, State.NONE):
        return ok(what, judged.fact, judged.hint)
    return warn(what, judged.fact, judged.hint)
