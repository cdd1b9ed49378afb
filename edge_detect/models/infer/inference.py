"""What was found out about a model file, and how certain it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from edge_detect.models.spec import ModelSpec, validate_manifest

__all__ = ["Finding", "Inference", "Source", "put_values", "with_values"]

# In the order in which they are believed.
Source = Literal[
    "query",
    "manifest",
    "metadata",
    "ultralytics",
    "edge impulse",
    "labels file",
    "tensors",
    "constants",
    "probe",
    "rule",
]

_WORDS: dict[str, str] = {
    "query": "as asked",
    "manifest": "from its manifest",
    "metadata": "from its metadata",
    "ultralytics": "from its metadata",
    "edge impulse": "from its metadata",
    "tensors": "from its shapes",
    "constants": "from its graph",
    "probe": "from a trial run",
}


@dataclass(slots=True, frozen=True)
class Finding:
    """One value of a manifest, and where it came from.

    Attributes:
        key: As in the manifest, such as `input.color`; `kind` for the name of the family.
        value: As in the manifest.
        source: Where it came from.
        certain: Whether it was read rather than guessed.
        why: The fact or the rule.
        shown: The value in a few words, for the line at start; empty for values that need none.
    """

    key: str
    value: Any
    source: Source
    certain: bool
    why: str
    shown: str = ""


@dataclass(slots=True, frozen=True)
class Inference:
    """A manifest that was found out.

    Attributes:
        spec: The manifest.
        findings: Its values with their sources, the most important ones first.
        questions: What one inference would answer: keys of findings.
        remarks: What was ignored, and why.
        float_input: Whether the model takes floating point.
    """

    spec: ModelSpec
    findings: tuple[Finding, ...]
    questions: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=())
    float_input: bool = False

    @property
    def guesses(self) -> list[Finding]:
        """Values that nothing in the file tells."""
        return [each for each in self.findings if not each.certain]

    def summary(self) -> str:
        """Family, labels and guesses in one line."""
        known = [_said(each) for each in self.findings if each.certain and each.shown]
        guessed = [each.shown for each in self.findings if not each.certain and each.shown]
        line = ", ".join(known)
        if guessed:
            line += f"{'; ' if line else ''}guessed: {', '.join(guessed)}"
        if self.remarks:
            line += f"; {self.remarks[0]}"
        return line

    def find(self, key: str) -> Finding | None:
        """The finding about a key."""
        return next((each for each in self.findings if each.key == key), None)

    def with_findings(self, spec: ModelSpec, changed: Iterable[Finding]) -> "Inference":
        """The same with other values, whose questions are answered."""
        new = {each.key: each for each in changed}
        findings = [new.pop(each.key, each) for each in self.findings]
        questions = tuple(
            key for key in self.questions if key not in {each.key for each in changed}
        )
        return replace(self, spec=spec, findings=(*findings, *new.values()), questions=questions)


def put_values(manifest: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Give keys of a manifest their values.

    Args:
        manifest: Tables and values as in the file; overwritten.
        values: By key with dots.
    """
    for key, value in values.items():
        *tables, last = key.split(".")
        table = manifest
        for name in tables:
            table = table.setdefault(name, {})
        table[last] = value


def with_values(spec: ModelSpec, values: Mapping[str, Any]) -> ModelSpec:
    """The manifest with other values.

    Args:
        spec: The manifest.
        values: By key with dots.

    Raises:
        ModelError: They make no valid manifest.
    """
    data = spec.model_dump(exclude_none=True, exclude_unset=True)
    put_values(data, values)
    return validate_manifest(Path(spec.file), data)


def _said(finding: Finding) -> str:
    words = _WORDS.get(finding.source, "")
    if finding.source == "labels file":
        words = f"from {finding.why}"
    return (
        f"{finding.shown} ({words})"
        if finding.key == "kind" and words
        else (f"{finding.shown} {words}".rstrip())
    )
