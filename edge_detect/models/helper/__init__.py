"""An interpreter in a process of its own, which can be killed when a device hangs."""
