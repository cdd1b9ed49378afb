"""`python -m edge_detect`: the command `edge-detect`."""

import sys

from edge_detect.app.cli import main

if __name__ == "__main__":
    sys.exit(main())
