"""The stream, served by GStreamer's RTSP server.

system      loading GStreamer, and what to install where it is missing
feed        the way of encoded pictures into GStreamer
mount       one path: its pictures, its password
auth        passwords by path
clients     who plays, who is idle, and who has to go
server      the server of one port and its thread
registry    the servers of this process, which sinks share
sink        the sink
"""
