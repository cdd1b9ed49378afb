"""What `edge-detect devices` lists: everything that models can run on here, and what is amiss.

judgement   whether a thing can be used, and what to do where it cannot
trial       a small model, run in a process of its own
processor   the CPU
edge_tpus   Edge TPUs and their library; the doctor takes its word from here
gpus        GPUs, and whether LiteRT can use one
runtimes    LiteRT, tflite-runtime, and what they carry
survey      all of it, within a time that is kept
"""
