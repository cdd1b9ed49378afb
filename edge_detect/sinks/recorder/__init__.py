"""Recordings in pieces, all the time or around events.

takes       which pictures make a recording: segments, or events with what came before
events      what happened, as told in the JSON and shown by the thumbnail
file        one MP4 that plays whatever happens to its writer
ledger      which recordings are its own, in which order they were made, and when
boots       how long ago that was at least, whatever the clock did
root        the directory, for one recorder alone
store       what is in the directory: names, what to keep, room on the disk
disk        files that survive a power cut
sink        the sink
"""
