"""Prints, as JSON, how picamera2 and libcamera look from outside: the imitation or the original.

Without an argument it tells all that the picamera2 first on the path has, which is to be the
imitation; with a file that it has printed, what another picamera2 has by the same names.
"""

# ruff: noqa: T201

import inspect
import json
import sys
from pathlib import Path

import libcamera
import picamera2
from picamera2.job import Job

CLASSES = {
    "Picamera2": picamera2.Picamera2,
    "CompletedRequest": picamera2.CompletedRequest,
    "MappedArray": picamera2.MappedArray,
    "Job": Job,
}
ENUMERATIONS = ("AfModeEnum", "AfTriggerEnum", "AwbModeEnum", "HdrModeEnum")


def describe(member) -> list[str] | str:
    """Parameters of a function with their kinds and defaults; what it is otherwise."""
    member = getattr(member, "__func__", member)
    if not inspect.isfunction(member):
        return type(member).__name__
    described = []
    for parameter in inspect.signature(member).parameters.values():
        default = parameter.default
        plain = default is None or isinstance(default, bool | int | str | dict | tuple)
        shown = repr(default) if plain else type(default).__name__
        described.append(f"{parameter.kind.name} {parameter.name} = {shown}")
    return described


def public(members: dict) -> list[str]:
    """Names without an underscore before them, and the protocol of `with`."""
    kept = ("__init__", "__enter__", "__exit__")
    return [name for name in members if not name.startswith("_") or name in kept]


def main() -> None:
    """Describe all that is public, or what a file names."""
    wanted = json.loads(Path(sys.argv[1]).read_text()) if sys.argv[1:] else None
    described: dict = {}
    for title, kind in CLASSES.items():
        names = public(vars(kind)) if wanted is None else wanted[title]
        described[title] = {
            name: describe(inspect.getattr_static(kind, name, None)) for name in names
        }
    controls = libcamera.controls
    enumerations = {name: getattr(controls, name) for name in ENUMERATIONS}
    enumerations["NoiseReductionModeEnum"] = controls.draft.NoiseReductionModeEnum
    for title, enumeration in enumerations.items():
        described[title] = {name: int(value) for name, value in enumeration.__members__.items()}
    for space in ("Smpte170m", "Rec709"):
        made = getattr(libcamera.ColorSpace, space)()
        described[space] = {"matrix": made.ycbcrEncoding.name, "range": made.range.name}
    made = libcamera.Transform(hflip=True, vflip=False)
    described["Transform"] = {"hflip": bool(made.hflip), "vflip": bool(made.vflip)}
    print(json.dumps(described, indent=1))


if __name__ == "__main__":
    main()
