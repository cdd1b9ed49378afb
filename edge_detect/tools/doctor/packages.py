"""What was installed: native libraries, runtimes, and what had better not be there."""

from collections.abc import Iterator
from importlib import metadata

from edge_detect.tools.doctor.finding import Finding, fail, ok, warn
from edge_detect.tools.doctor.place import Place
from edge_detect.tools.doctor.probe import ProbeError, ask
from edge_detect.tools.doctor.probes import LIBRARIES

__all__ = ["look_at_leftovers", "look_at_libraries", "look_at_runtimes"]

_PROBE_S = 20.0
_INSTALL_RUNTIME = "pip install 'ai-edge-litert>=2.1'"
# Packages with promising names that are something else, or replaced long ago.
_SUPERSEDED = {
    "tflite": "is a reader of model files, not a runtime",
    "tflite-runtime-nightly": "is outdated, and overwrites files of tflite-runtime",
}
_OPENCV = {
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
}


def look_at_libraries(place: Place) -> Iterator[Finding]:
    """Whether the native libraries can be imported."""
    try:
        found = ask(place, "libraries", timeout_s=_PROBE_S)
    except ProbeError as error:
        yield _culprit(place, error)
        return
    yield ok("libraries", ", ".join(f"{name} {version}" for name, version in found.items()))


def look_at_runtimes(place: Place) -> Iterator[Finding]:
    """Whether a TFLite runtime loads a model and fits numpy."""
    works = False
    broken: list[tuple[str, ProbeError]] = []
    for name in ("litert", "tflite-runtime"):
        try:
            found = ask(place, "runtime", name, timeout_s=_PROBE_S)
        except ProbeError as error:
            broken.append((name, error))
            continue
        if not found.get("missing"):
            works = True
            yield ok("runtime", f"{found['version']}, fits numpy {found['numpy']}")
    report = warn if works else fail
    for name, why in broken:
        yield report("runtime", f"{name}: {why.message}", why.hint or _INSTALL_RUNTIME)
    if not works and not broken:
        yield fail("runtime", "neither LiteRT nor tflite-runtime is installed", _INSTALL_RUNTIME)


def look_at_leftovers(place: Place) -> Iterator[Finding]:
    """Packages that are mistaken for others, or in each other's way."""
    found = {
        str(each.metadata["Name"]).lower().replace("_", "-"): each
        for each in metadata.distributions(path=list(place.packages))
        if each.metadata["Name"]
    }
    findings = []
    if "pycoral" in found:
        findings.append(_judge_pycoral(found["pycoral"]))
    findings += [
        warn("packages", f"{name} {why}", f"pip uninstall {name}")
        for name, why in _SUPERSEDED.items()
        if name in found
    ]
    opencv = sorted(_OPENCV & found.keys())
    if len(opencv) > 1:
        findings.append(
            warn(
                "packages",
                f"{' and '.join(opencv)} overwrite each other's files",
                f"pip uninstall {' '.join(opencv)}; pip install opencv-python-headless",
            )
        )
    yield from findings or [ok("packages", "none that are in the way")]


def _judge_pycoral(found: metadata.Distribution) -> Finding:
    """Tell Google's PyCoral from the package that has its name on PyPI."""
    if any(str(file).startswith("pycoral/adapters/") for file in found.files or ()):
        return ok("pycoral", f"{found.version}, Google's; edge-detect does not need it")
    summary = found.metadata["Summary"] or "no description"
    return warn(
        "pycoral",
        f"{found.version} is not Google's PyCoral ({summary}); that one has pycoral/adapters/",
        "pip uninstall pycoral; edge-detect needs neither",
    )


def _culprit(place: Place, error: ProbeError) -> Finding:
    """The library that fails alone, too."""
    for name in LIBRARIES:
        try:
            ask(place, "libraries", name, timeout_s=_PROBE_S)
        except ProbeError as single:
            text = single.message if name in single.message else f"{name}: {single.message}"
            return fail("libraries", text, single.hint)
    return fail("libraries", f"each alone is fine, together: {error.message}", error.hint)
