"""A Raspberry Pi's CSI cameras, through picamera2.

cameras     the library, and which cameras there are
options     what a URL asks for, as the camera's own controls
pixels      from the camera's buffers to B, G, R
timeline    from the sensor's clock to CLOCK_MONOTONIC
source      the frames
"""
