"""Servers of the tests, each a program of its own on loopback."""
