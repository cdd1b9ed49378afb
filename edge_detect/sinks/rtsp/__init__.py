"""The stream, served by GStreamer's RTSP server.

system      loading GStreamer, and what to install where it is missing
feed        the way of encoded pictures into GStreamer
clients     who plays, who is idle, and who has to go
server      the server and its thread
sink        the sink
"""
