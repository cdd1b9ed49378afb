"""Model files, their speed, and the compiled kernels."""

from collections.abc import Iterator

from edge_detect.models.catalogue import Verification, bundled_models, list_models, verify
from edge_detect.tools.doctor.finding import Finding, fail, ok, warn
from edge_detect.tools.doctor.place import Place
from edge_detect.tools.doctor.probe import ProbeError, ask

__all__ = ["look_at_files", "look_at_inference", "look_at_kernels"]

_PROBE_S = 30.0


def look_at_files(_place: Place) -> Iterator[Finding]:
    """Whether the models' files are what their manifests say."""
    here = [entry.name for entry in list_models() if entry.present]
    wrong = False
    for name in here:
        verdict, reason = verify(name)
        if verdict is not Verification.GOOD:
            wrong = True
            advice = f"`edge-detect models pull {name}`, or install edge-detect again"
            yield fail("model file", f"{name}: {reason}", advice)
    if not here:
        yield fail("model files", "none", "install edge-detect again: models come with it")
    elif not wrong:
        yield ok("model files", f"{len(here)} here, as their manifests say")


def look_at_kernels(place: Place) -> Iterator[Finding]:
    """Whether the post-processing is compiled, and can be kept."""
    found = ask(place, "kernels", timeout_s=_PROBE_S)
    cold, writable = found["cold"], found["writable"]
    if not cold:
        where = f"kept in {writable[0]}" if writable else "kept where nothing can be written"
        yield ok("kernels", f"compiled, {where}")
    elif writable:
        yield warn(
            "kernels",
            f"{len(cold)} are not compiled: the next start does it, which takes a Pi a minute",
            "edge-detect warmup",
        )
    else:
        yield warn(
            "kernels",
            f"{len(cold)} are not compiled, and cannot be kept: {', '.join(found['folders'])} "
            "cannot be written",
            "set NUMBA_CACHE_DIR to a folder that can, then `edge-detect warmup`",
        )


def look_at_inference(place: Place) -> Iterator[Finding]:
    """One real inference of every bundled model."""
    try:
        warm = "cold" if ask(place, "kernels", timeout_s=_PROBE_S)["cold"] else "warm"
    except ProbeError:
        warm = "cold"
    for entry in bundled_models():
        try:
            found = ask(place, "inference", entry.name, warm, timeout_s=_PROBE_S)
        except ProbeError as error:
            yield fail("inference", f"{entry.name}: {error.message}", error.hint)
            continue
        threads = f"{found['threads']} thread{'s' if found['threads'] > 1 else ''}"
        yield ok("inference", f"{entry.name} {found['ms']:.1f} ms ({threads})")
