"""All that a model file, and what lies beside it, say about the model."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge_detect.core import ModelError, Size
from edge_detect.models.file.archive import MAX_ENTRY_BYTES, Archive, read_archive
from edge_detect.models.file.foreign import check_is_tflite
from edge_detect.models.file.graph import FileGraph, FileTensor, read_graph
from edge_detect.models.file.labels import PLACEHOLDER, is_background, read_labels
from edge_detect.models.file.metadata import ENTRY, TfliteMetadata, read_metadata
from edge_detect.models.file.vendors import (
    EdgeImpulseNotes,
    UltralyticsNotes,
    read_edge_impulse,
    read_ultralytics,
)
from edge_detect.models.infer.coco import COCO_80, COCO_90
from edge_detect.models.infer.inference import Source
from edge_detect.models.infer.overrides import Overrides

__all__ = ["Evidence", "Labels", "asked_labels", "gather", "guessed_labels", "names_beside"]

_LABEL_SUFFIXES = (".txt", ".names", ".labels", ".pbtxt", ".json", ".yaml", ".yml")
# Files that can be nothing else.
_PLAIN_SUFFIXES = (".txt", ".names", ".labels", ".pbtxt")
# Beside the model, under its own name or under a common one.
_OWN = (
    "{}.txt",
    "{}.names",
    "{}.labels",
    "{}.pbtxt",
    "{}_labels.txt",
    "{}-labels.txt",
    "{}.json",
    "{}.yaml",
    "{}.yml",
)
_COMMON = (
    "labels.txt",
    "labelmap.txt",
    "label_map.txt",
    "labels.names",
    "labelmap.pbtxt",
    "label_map.pbtxt",
    "classes.txt",
    "obj.names",
    "metadata.yaml",
    "data.yaml",
    "labels.json",
    "model_metadata.json",
    "deployment-metadata.json",
    "metadata.json",
    "coco.names",
    "coco_labels.txt",
)


@dataclass(slots=True, frozen=True)
class Labels:
    """A list of labels that may be the model's.

    Attributes:
        names: By class id.
        source: Where it came from.
        where: The file, for people.
        own: Whether it certainly belongs to this model.
        implied: Whether its ids begin at 1, so that entry 0 is not in the file.
        note: What was not taken as it stands in the file.
    """

    names: tuple[str, ...]
    source: Source
    where: str
    own: bool
    implied: bool = False
    note: str = ""

    @property
    def counts(self) -> tuple[int, ...]:
        """Of how many classes it may be: a background before or behind them is none."""
        count = len(self.names)
        if self.implied:
            return (count - 1,)
        bare = count > 1 and (is_background(self.names[0]) or is_background(self.names[-1]))
        return (count, count - 1) if bare else (count,)


@dataclass(slots=True)
class Evidence:
    """Everything, read once.

    Attributes:
        path: Of the model.
        graph: Its tensors and operators.
        overrides: What the user says.
        metadata: Its TFLite metadata.
        ultralytics: Its metadata of Ultralytics.
        edge_impulse: Its metadata of Edge Impulse.
        labels: Lists that may be its labels, best first.
        remarks: What was ignored, and why.
    """

    path: Path
    graph: FileGraph
    overrides: Overrides
    metadata: TfliteMetadata | None = None
    ultralytics: UltralyticsNotes | None = None
    edge_impulse: EdgeImpulseNotes | None = None
    labels: list[Labels] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def image(self) -> FileTensor:
        """The input."""
        return self.graph.inputs[0]

    @property
    def size(self) -> Size:
        """Width and height of the input; as the user or the metadata say where it is dynamic."""
        if self.overrides.size is not None:
            return self.overrides.size
        shape = self.image.shape
        if not self.fixed_size and self.ultralytics is not None and len(self.ultralytics.size) == 2:
            height, width = self.ultralytics.size
            return Size(width, height)
        return Size(shape[2], shape[1])

    @property
    def fixed_size(self) -> bool:
        """Whether the file itself says the size of the input."""
        image = self.image
        stated = image.signature if len(image.signature) == 4 else image.shape
        return len(stated) == 4 and min(stated[1:3]) > 1

    @property
    def outputs(self) -> tuple[FileTensor, ...]:
        """The outputs."""
        return self.graph.outputs

    def has_operator(self, *names: str) -> bool:
        """Whether the graph has one of these operators."""
        return any(each.name in names for each in self.graph.operators)

    def known_counts(self) -> list[int]:
        """How many classes the lists of labels have that certainly are the model's."""
        return [len(each.names) for each in self.labels if each.own]

    def told_classes(self, *readings: float) -> int | None:
        """The number of classes, of some that the tensors allow, for which there is a list.

        A list that certainly is the model's goes before one of a common name.
        """
        for each in sorted(self.labels, key=lambda labels: not labels.own):
            for count in each.counts:
                if count in readings:
                    return count
        return None

    def guess_labels(self, count: int) -> Labels:
        """Labels where none are given."""
        names, why = guessed_labels(count)
        return Labels(names, "rule", why, own=False)


def guessed_labels(count: int) -> tuple[tuple[str, ...], str]:
    """COCO's labels where there are as many classes, else numbered ones; and why."""
    if count in (len(COCO_80), len(COCO_90)):
        return (COCO_80 if count == len(COCO_80) else COCO_90), f"{count} classes are COCO's"
    return tuple(f"class {number}" for number in range(count)), "no list of labels"


def gather(path: Path, overrides: Overrides) -> Evidence:
    """Read a model file and what lies beside it.

    Raises:
        ModelError: It cannot be read, is damaged, or is no TFLite model.
    """
    check_is_tflite(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read model {path}: {error.strerror}") from error
    graph = read_graph(path, content)
    archive = read_archive(content)
    found = Evidence(path, graph, overrides, remarks=archive.remarks)
    if ENTRY in graph.metadata:
        try:
            found.metadata = read_metadata(graph.metadata[ENTRY])
        except ValueError as error:
            found.remarks.append(f"its TFLite metadata is damaged: {error}")
    found.ultralytics = read_ultralytics(archive.files)
    beside = dict(_files_beside(path))
    found.edge_impulse = read_edge_impulse(archive.files) or read_edge_impulse(beside)
    found.labels = list(_label_lists(found, archive, beside))
    return found


def _label_lists(found: Evidence, archive: Archive, beside: dict[str, bytes]) -> Iterator[Labels]:
    wanted = found.overrides.labels
    if wanted:
        yield asked_labels(found.path, wanted)
        return
    names = found.overrides.get("names")
    if names:
        yield Labels(names, "manifest", "its manifest", own=True)
        return
    named = found.metadata.label_files if found.metadata else ()
    for name in named:
        yield from _parsed(archive.files.get(name, b""), name, "metadata", "its metadata")
    if found.ultralytics is not None:
        where = "its metadata (Ultralytics)"
        yield Labels(found.ultralytics.labels, "ultralytics", where, own=True)
    if found.edge_impulse is not None:
        where = "its metadata (Edge Impulse)"
        yield Labels(found.edge_impulse.labels, "edge impulse", where, own=True)
    for name, content in archive.files.items():
        vendor = name.rpartition("/")[2] in ("metadata.json", "temp_meta.txt", "meta.txt")
        if name not in named and not vendor and name.lower().endswith(_LABEL_SUFFIXES):
            yield from _parsed(content, name, "metadata", f"{name} in the file")
    own = {pattern.format(found.path.stem) for pattern in _OWN}
    for name, content in beside.items():
        lists = list(_parsed(content, name, "labels file", name, own=name in own))
        if name in own and not lists and name.endswith(_PLAIN_SUFFIXES):
            found.remarks.append(f"{name} is no list of labels")
        yield from lists


def _parsed(
    content: bytes, name: str, source: Source, where: str, *, own: bool = True
) -> Iterator[Labels]:
    found = read_labels(content, name)
    if any(each != PLACEHOLDER for each in found.names):
        yield Labels(found.names, source, where, own, found.implied, found.note)


def asked_labels(path: Path, wanted: str) -> Labels:
    """The list that the user names: a path, from the model's folder or from here.

    Raises:
        ModelError: There is none, or the file is no list of labels.
    """
    for file in (path.parent / wanted, Path(wanted)):
        if file.is_file():
            content = _read_small(file)
            found = read_labels(content, file.name)
            if not found.names:
                raise ModelError(
                    f"{file} is no list of labels", "write one name a line, in the order of the ids"
                )
            return Labels(
                found.names, "query", wanted, own=True, implied=found.implied, note=found.note
            )
    raise ModelError(
        f"there is no file of labels {wanted!r}",
        f"give its path, from {path.parent.resolve()} or from the working directory",
    )


def names_beside(stem: str) -> list[str]:
    """The names of files beside a model that may hold its labels or metadata, best first.

    Args:
        stem: Of the model file.
    """
    return list(dict.fromkeys([*(pattern.format(stem) for pattern in _OWN), *_COMMON]))


def _files_beside(path: Path) -> Iterator[tuple[str, bytes]]:
    for name in names_beside(path.stem):
        content = _read_small(path.with_name(name))
        if content:
            yield name, content


def _read_small(file: Path) -> bytes:
    """A file's content; empty where it is missing, too large or not to be read."""
    try:
        if not file.is_file() or file.stat().st_size > MAX_ENTRY_BYTES:
            return b""
        return file.read_bytes()
    except OSError:
        return b""
