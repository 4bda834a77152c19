"""Policy without I/O: events in, commands out, time as an argument.

``Scheduler.handle(event, now)`` is the only door: the master daemon turns messages into events and
carries out the commands that come back, in their order. ``LeasePool`` is the same kind of machine for a
worker's own volume.
"""
