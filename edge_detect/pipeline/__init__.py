"""Threads, mailboxes and statistics that tie sources, detector and sinks together."""
