"""The daemon: cameras from a configuration file, and what runs beside them."""
