"""The computer that this runs on: heat, clock, power, memory.

files        the kernel's small files
temperature  how hot the SoC is
clock        how fast it runs
throttling   what a Raspberry Pi's firmware does about heat and power
process      what this process takes
memory       memory and CMA
edge_tpu     Edge TPUs on USB and PCI Express
reader       all of it in one reading
monitor      the newest reading, in a thread of its own
"""

from edge_detect.board.monitor import BoardMonitor
from edge_detect.board.reader import Board

__all__ = ["Board", "BoardMonitor"]
