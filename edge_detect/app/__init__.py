"""The program: command line, and later configuration, service and HTTP."""
