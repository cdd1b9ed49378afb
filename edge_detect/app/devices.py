"""`edge-detect devices`: what models can run on here, as a list or as JSON."""

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from edge_detect.board.cpu import CpuReading
from edge_detect.models.edge_tpu import EDGE_TPU_LIBRARY
from edge_detect.tools.devices.judgement import Judgement, State
from edge_detect.tools.devices.processor import Processor
from edge_detect.tools.devices.survey import Devices, survey

__all__ = ["devices", "lines_of"]

_MOST_COLUMNS = 100
_FEATURES = {
    "avx": "AVX",
    "avx2": "AVX2",
    "fma": "FMA",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "amx_int8": "AMX int8",
    "asimd": "NEON",
    "neon": "NEON",
    "asimddp": "dot product",
    "asimdhp": "fp16",
    "i8mm": "int8 matrices",
    "sve": "SVE",
    "bf16": "bf16",
}


class _Row(NamedTuple):
    """One thing: its name, how it is, more about it, and what to do."""

    name: str
    judgement: Judgement
    more: tuple[str, ...] = ()


def devices(arguments: argparse.Namespace) -> int:
    """List everything that models can run on.

    Returns:
        0, whatever there is.
    """
    found = survey(arguments.library or EDGE_TPU_LIBRARY)
    if arguments.json:
        print(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
        return 0
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else _MOST_COLUMNS
    print("\n".join(lines_of(found, columns)))
    return 0


def lines_of(found: Devices, columns: int = _MOST_COLUMNS) -> list[str]:
    """All of it as text for people.

    Args:
        found: What there is.
        columns: How wide it may become; never more than 100.
    """
    sections = {
        "CPU": [_processor_row(found.processor)],
        "Edge TPU": list(_edge_tpu_rows(found)),
        "GPU": list(_gpu_rows(found)),
        "Runtimes": [_Row(each.name, each.judgement) for each in found.runtimes],
    }
    width = max(len(row.name) for rows in sections.values() for row in rows)
    lines: list[str] = []
    for title, rows in sections.items():
        lines.append(title)
        for row in rows:
            lines += _lines(row, width, min(columns, _MOST_COLUMNS))
        lines.append("")
    lines.append(f"accelerators that work here: {', '.join(found.accelerators) or 'none'}")
    return lines


def _lines(row: _Row, width: int, columns: int) -> list[str]:
    """`name  state  fact`, with all that follows under the fact."""
    first = f"  {row.name:<{width}}  {row.judgement.state.value:<4}  "
    indent = " " * len(first)
    parts = [row.judgement.fact, *row.more]
    if row.judgement.hint:
        parts.append(f"hint: {row.judgement.hint}")
    lines = []
    for number, part in enumerate(parts):
        lines += textwrap.wrap(
            part,
            max(40, columns),
            initial_indent=indent if number else first,
            subsequent_indent=indent,
            break_on_hyphens=False,
        )
    return lines


def _processor_row(processor: Processor) -> _Row:
    read = processor.reading
    cores = f"{read.cores} core{'' if read.cores == 1 else 's'}"
    if len(read.usable) < read.cores:
        numbers = ", ".join(str(number) for number in read.usable)
        cores += f", of which this process may use {len(read.usable)} ({numbers})"
    threads = f"{processor.threads} thread{'' if processor.threads == 1 else 's'}"
    judgement = processor.judgement
    name = () if judgement.state is State.OK else (read.model,) if read.model else ()
    return _Row(
        "cpu",
        judgement,
        (
            *name,
            f"{processor.architecture}, {cores}; a model gets {threads} unless tuned",
            *_feature_text(read),
            _clock_text(read),
        ),
    )


def _feature_text(read: CpuReading) -> Iterator[str]:
    has = [_FEATURES[name] for name, there in read.features.items() if there]
    lacks = [_FEATURES[name] for name, there in read.features.items() if not there]
    if has or lacks:
        without = f"; without {', '.join(lacks)}" if lacks else ""
        yield f"{', '.join(has) or 'no vector instructions'}{without}"


def _clock_text(read: CpuReading) -> str:
    now, limit, most = (
        None if hertz is None else f"{hertz / 1e9:.2f}"
        for hertz in (read.frequency_hz, read.frequency_limit_hz, read.frequency_most_hz)
    )
    if now is None:
        return "clock and governor are not told by the kernel"
    of = f" of {limit}" if limit else ""
    built = f" (built for {most})" if most and most != limit else ""
    return f"clock {now}{of} GHz{built}, governor {read.governor or 'unknown'}"


def _edge_tpu_rows(found: Devices) -> Iterator[_Row]:
    for device in found.edge_tpus:
        yield _Row(f"{device.bus} {device.place}", device.judgement)
    if not found.edge_tpus and not found.library.devices:
        yield _Row("edgetpu", Judgement(State.NONE, "there is none on USB or PCI Express"))
    yield _Row("libedgetpu", found.library_judgement)
    for name in found.edge_tpu_names:
        judgement = Judgement(found.library_judgement.state, "seen by libedgetpu")
        yield _Row(name, judgement)


def _gpu_rows(found: Devices) -> Iterator[_Row]:
    for gpu in found.gpus:
        yield _Row(gpu.found.name, gpu.judgement)
    yield _Row("gpu", found.gpu_judgement)
    if found.gpu_library is None:
        yield _Row("WebGPU", Judgement(State.NONE, "LiteRT carries no library for GPUs here"))
    else:
        library = found.gpu_library
        yield _Row("WebGPU", Judgement(State.OK, f"{library.name} in {library.parent}"))
