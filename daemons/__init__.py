"""The daemons: thin shells that turn messages into events for the core, and carry out its commands."""
