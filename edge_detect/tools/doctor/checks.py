"""All questions, in the order in which the answers are read."""

from edge_detect.tools.doctor import (
    coral,
    health,
    models,
    packages,
    service,
    storage,
    system,
    video,
)
from edge_detect.tools.doctor.finding import Check

__all__ = ["CHECKS"]

# Probes have shorter limits of their own, and say more when these are reached.
_PROBES_S = 130.0
_COMMANDS_S = 30.0

CHECKS = (
    Check("System", "system", system.look_at_system),
    Check("System", "board", system.look_at_board),
    Check("System", "Python", system.look_at_interpreter),
    Check("System", "libraries", packages.look_at_libraries, _PROBES_S),
    Check("System", "packages", packages.look_at_leftovers, _COMMANDS_S),
    Check("Detection", "runtime", packages.look_at_runtimes, _PROBES_S),
    Check("Detection", "model files", models.look_at_files, _COMMANDS_S),
    Check("Detection", "kernels", models.look_at_kernels, _PROBES_S),
    Check("Detection", "inference", models.look_at_inference, _PROBES_S),
    Check("Detection", "Edge TPU", coral.look_at_edge_tpus, _COMMANDS_S),
    Check("Video", "cameras", video.look_at_cameras, _PROBES_S),
    Check("Video", "RTSP server", video.look_at_gstreamer, _PROBES_S),
    Check("Video", "encoders", video.look_at_encoders, _PROBES_S),
    Check("Board", "heat and power", health.look_at_heat_and_power),
    Check("Board", "memory", health.look_at_memory),
    Check("Board", "time", storage.look_at_clock),
    Check("Board", "disk", storage.look_at_disks),
    Check("Board", "root", storage.look_at_root),
    Check("Service", "rights", service.look_at_groups),
    Check("Service", "udev rules", service.look_at_rules),
    Check("Service", "service", service.look_at_units, _COMMANDS_S),
    Check("Service", "ports", service.look_at_ports, _COMMANDS_S),
)
