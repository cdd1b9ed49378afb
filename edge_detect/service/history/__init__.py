"""What every camera did, interval by interval, in files that outlive the process.

record      one line: its columns and the time it belongs to
files       what the files are called
writer      appends lines, and keeps the files within bounds
disk        the thread that waits for the disk
meter       what a camera and the computer did in one interval
companion   has it all done beside the cameras

Nothing is imported here: `edge-detect report` reads files, and needs no camera's libraries.
"""
