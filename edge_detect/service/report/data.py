"""The report for programs."""

import json
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from edge_detect.service.report.summary import CameraSummary, ComputerSummary, Report

__all__ = ["report_json"]


def report_json(report: Report) -> str:
    """Everything but the curves, as one JSON object; times are unix times in seconds."""
    facts = {
        "directory": str(report.directory),
        "since_s": report.since_s,
        "until_s": report.until_s,
        "interval_s": report.interval_s,
        "cameras": [
            {**_plain(each), "available": round(each.available, 6)} for each in report.cameras
        ],
        "computer": _plain(report.computer),
        "outages": [asdict(each) for each in report.outages],
        "reloads_s": report.reloads_s,
        "unreadable": report.unreadable,
    }
    return json.dumps(facts, ensure_ascii=False, indent=2, allow_nan=False)


def _plain(summary: CameraSummary | ComputerSummary) -> dict[str, Any]:
    values = {each.name: getattr(summary, each.name) for each in fields(summary)}
    del values["curves"]
    return {name: _value(value) for name, value in values.items()}


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return [_value(each) for each in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
