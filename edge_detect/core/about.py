"""What the current thread's work is about: the camera's name, for whoever logs."""

from contextvars import ContextVar

__all__ = ["camera_name"]

# Threads of a pipeline take it over from the one that made the pipeline.
camera_name: ContextVar[str] = ContextVar("camera_name", default="")
