"""Threads, mailboxes and statistics that tie sources, detector and sinks together."""

from edge_detect.pipeline.pipeline import Mode, Pipeline
from edge_detect.pipeline.statistics import Statistics

__all__ = ["Mode", "Pipeline", "Statistics"]
