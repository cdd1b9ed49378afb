"""USB cameras, by the kernel's own interface (Video4Linux2).

structs     what the kernel reads and writes
calls       one function for each request to the driver
modes       which of the formats, sizes and rates that a camera offers
pixels      from the camera's format to B, G, R
controls    brightness, exposure and the like
errors      what the kernel's error numbers mean to a user
stream      buffers that the driver fills, each lent and given back
source      the frames
"""
