"""What `edge-detect doctor` looks at, by topic.

finding          one line of the report
place            where it looks, so that tests can show it other computers
runner           all checks at a time, none of which can hold or break the others
probe            questions asked in processes of their own; probes, probes_models: the answers
system           system, board, Python
packages         what was installed, and what should not be there
models           runtimes, model files, compiled kernels
video            cameras, encoders, GStreamer
coral            Edge TPUs
health           heat, power, memory
storage          disks, clock
service          rights, unit, ports
checks           all of them, in order
"""
