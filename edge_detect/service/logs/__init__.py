"""What the daemon says: to the journal with fields, as JSON lines, or in colours on a terminal.

Modules log through the standard library; `configure_logging` decides what becomes of it.

entry      one thing that was said, free of everything that could change or be large
redact     credentials in texts
repeats    saying the same thing ever more seldom
handler    the way from any thread to the one that writes
outputs    the journal's socket, and streams
lines      JSON lines and lines for people
setup      `configure_logging`
figures    `FigureLog`: frames per second and latency, at intervals
"""

from edge_detect.service.logs.figures import FigureLog
from edge_detect.service.logs.setup import Logs, configure_logging

__all__ = ["FigureLog", "Logs", "configure_logging"]
