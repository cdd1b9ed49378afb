"""A manifest in the making: every value with its source."""

from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from edge_detect.core import ModelError
from edge_detect.models.infer.evidence import Evidence, Labels
from edge_detect.models.infer.inference import Finding, Inference, Source, put_values
from edge_detect.models.infer.overrides import places, useless
from edge_detect.models.names import name_from, name_from_content
from edge_detect.models.spec import ModelSpec, describe_faults

__all__ = ["Draft", "Numbers", "range_words"]

Numbers = float | list[float]
_IMAGENET_MEANS = [103.53, 116.28, 123.675]


class Draft:
    """Collects the values of a manifest.

    Args:
        evidence: What is known.
        family: Of the manifest.
        kind: The family's name for people, such as `YOLOv8`.
        source: What tells the family.
        why: The fact.
        certain: Whether the family was read rather than guessed.

    Attributes:
        evidence: What is known.
        family: Of the manifest.
        kind: For people.
        questions: Keys that one inference would answer.
    """

    def __init__(
        self,
        evidence: Evidence,
        family: str,
        kind: str,
        source: Source,
        why: str,
        *,
        certain: bool = True,
    ) -> None:
        self.evidence = evidence
        self.family = family
        self.kind = kind
        self.questions: list[str] = []
        self._findings: dict[str, Finding] = {}
        self._remarks: list[str] = []
        if evidence.overrides.family:
            source, why, certain = "query", "family", True
        self._findings["kind"] = Finding("kind", kind, source, certain, why, kind)
        self.set("family", family, source, why, certain=certain)
        size = evidence.size
        said: Source = "query" if evidence.overrides.size else "tensors"
        fixed = evidence.fixed_size or said == "query"
        why = "shape of the input" if evidence.fixed_size else "the input takes any size"
        self.set("input.size", [size.width, size.height], said, why, certain=fixed)

    def set(
        self,
        key: str,
        value: Any,
        source: Source,
        why: str,
        *,
        certain: bool = True,
        shown: str = "",
    ) -> None:
        """Give a key its value; a later call replaces an earlier one.

        Args:
            key: With dots; one that begins with a dot is in the section of the family.
            value: As in the manifest.
            source: Where it came from.
            why: The fact or the rule.
            certain: Whether it was read rather than guessed.
            shown: In a few words, for the line at start.
        """
        key = f"{self.family}{key}" if key.startswith(".") else key
        self._findings[key] = Finding(key, value, source, certain, why, shown)

    def guess(self, key: str, value: Any, why: str, shown: str = "") -> None:
        """Give a key the value of a rule."""
        self.set(key, value, "rule", why, certain=False, shown=shown)

    def ask(self, key: str, *, first: bool = False) -> None:
        """Have one inference answer a key later, where it is still a guess.

        Args:
            key: As in `set`.
            first: Before the questions so far.
        """
        place = 0 if first else len(self.questions)
        self.questions.insert(place, f"{self.family}{key}" if key.startswith(".") else key)

    def remark(self, text: str) -> None:
        """Say something about the file that is no value."""
        self._remarks.append(text)

    def get(self, key: str) -> Any:
        """The value of a key; None where it has none."""
        found = self._findings.get(f"{self.family}{key}" if key.startswith(".") else key)
        return None if found is None else found.value

    def set_labels(self, labels: Labels, names: tuple[str, ...] | None = None) -> None:
        """Give the model its labels.

        Args:
            labels: From the evidence.
            names: The list itself, where it is not as in `labels`.
        """
        names = labels.names if names is None else names
        if labels.note:
            self.remark(f"{labels.where}: {labels.note}")
        count = sum(name != "n/a" for name in names)
        shown = f"{count} label{'s' if count != 1 else ''}"
        if labels.source == "rule":
            numbered = "no class names" if names[0].startswith("class ") else "COCO's labels"
            shown = shown if labels.own else numbered
        certain = labels.own or labels.source == "labels file"
        self.set("labels", list(names), labels.source, labels.where, certain=certain, shown=shown)

    def finish(self) -> Inference:
        """The whole, with what the user says in place of what was inferred.

        Raises:
            ModelError: The values make no valid manifest.
        """
        self._override()
        self._complete()
        manifest = self.manifest()
        try:
            spec = ModelSpec.model_validate(manifest)
        except ValidationError as error:
            raise ModelError(
                f"{self.evidence.path}: {describe_faults(error.errors(), manifest)[0]}",
                "write a manifest beside it (edge-detect models inspect FILE --write)",
            ) from error
        open_keys = tuple(
            key
            for key in self.questions
            if key in self._findings and not self._findings[key].certain
        )
        float_input = self.evidence.image.dtype == "float32"
        idle = useless(self.evidence.overrides, spec, float_input=float_input)
        remarks = (*idle, *self._remarks, *self.evidence.remarks)
        return Inference(
            spec, tuple(self._findings.values()), open_keys, remarks, float_input=float_input
        )

    def manifest(self) -> dict[str, Any]:
        """Sections and values as `ModelSpec` has them."""
        made: dict[str, Any] = {self.family: {}}
        values = {key: each.value for key, each in self._findings.items() if key != "kind"}
        put_values(made, values)
        return made

    def _override(self) -> None:
        for key, value in places(self.evidence.overrides, self.family).items():
            name = key.rpartition(".")[2]
            self.set(key, value, "query", name, shown=_shown(name, value))
        asked = self.evidence.overrides
        if asked.get("mean") is None and asked.get("std") is None:
            return
        # One range for both; what was guessed for it no longer holds.
        mean, std = self.get("input.mean") or 0.0, self.get("input.std") or 255.0
        last = "input.mean" if asked.get("std") is None else "input.std"
        for key in ("input.mean", "input.std"):
            if key in self._findings:
                shown = range_words(mean, std) if key == last else ""
                self._findings[key] = replace(self._findings[key], shown=shown)

    def _complete(self) -> None:
        path = self.evidence.path
        name = name_from(path.stem)
        why = "name of the file" if name else "SHA-256 of the file"
        self.set("name", name or name_from_content(path), "rule", why)
        self.set("file", path.name, "rule", "name of the file")
        if self.evidence.graph.custom("edgetpu-custom-op"):
            # Never the file itself: that is what would be asked for in its place.
            twin = path.stem.removesuffix("_edgetpu").removesuffix("-edgetpu")
            twin = f"{path.stem}-cpu" if twin in ("", path.stem) else twin
            self.set("cpu_twin", twin, "constants", "the graph has edgetpu-custom-op")
        else:
            for twin in (f"{path.stem}_edgetpu", f"{path.stem}-edgetpu"):
                if path.with_name(f"{twin}.tflite").is_file():
                    self.set("edgetpu", twin, "rule", "it lies beside it")
        if "description" not in self._findings:
            self.set("description", f"{self.kind}: {path.name}", "rule", "kind and file")


def range_words(mean: Numbers, std: Numbers) -> str:
    """What pixels become, for the line at start.

    Args:
        mean: The pixel value that becomes 0.
        std: `real = (pixel - mean) / std`.
    """
    if isinstance(mean, list) and sorted(mean) == _IMAGENET_MEANS:
        return "mean and deviation of ImageNet"
    if isinstance(mean, list) or isinstance(std, list):
        return f"mean {_joined(mean)}, deviation {_joined(std)}"
    low, high = (f"{(pixel - mean) / std:.3g}" for pixel in (0, 255))
    return f"{low} to {high}"


def _joined(numbers: Numbers) -> str:
    each = numbers if isinstance(numbers, list) else [numbers]
    return "/".join(f"{number:g}" for number in each)


def _shown(name: str, value: Any) -> str:
    """A value of a query in a few words; empty where the line at start leaves it out."""
    if name in ("box", "unit", "scores"):
        return f"{name} {value}"
    if name == "size":
        return "x".join(map(str, value))
    return {"color": str(value), "encoding": f"{value} input"}.get(name, "")
