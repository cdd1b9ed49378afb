"""Threads, mailboxes and statistics that tie sources, detector and sinks together."""

from edge_detect.pipeline.outlet import Outlet
from edge_detect.pipeline.pipeline import Mode, OverlayMode, Pipeline
from edge_detect.pipeline.statistics import Statistics

__all__ = ["Mode", "Outlet", "OverlayMode", "Pipeline", "Statistics"]
