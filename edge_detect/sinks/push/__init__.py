"""The stream, pushed to an RTSP server.

transport   reading the connection, and UDP sockets
auth        answers to a server's challenge
rtp         access units as packets
publisher   ANNOUNCE, SETUP, RECORD, with an end to every wait
sink        the sink
"""
