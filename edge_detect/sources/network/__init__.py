"""Cameras and servers on the network: RTSP, MJPEG over HTTP, and whatever else FFmpeg reads.

address     what of a URL goes where, and what may be shown
clock       when pictures were taken, and whether decoding keeps up
damage      which pictures to hide after damage
errors      what FFmpeg's errors mean to a user
decoder     from packets to pictures
reader      the thread, and the one picture that it keeps
source      the frames
"""
