"""Reads the history, and draws it."""

from edge_detect.service.report.data import report_json
from edge_detect.service.report.page import CONTENT_SECURITY_POLICY, make_report_html
from edge_detect.service.report.period import parse_moment
from edge_detect.service.report.summary import Report, make_report
from edge_detect.service.report.terminal import report_text

__all__ = [
    "CONTENT_SECURITY_POLICY",
    "Report",
    "make_report",
    "make_report_html",
    "parse_moment",
    "report_json",
    "report_text",
]
