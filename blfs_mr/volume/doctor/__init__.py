"""The doctor: a live test of the path between a volume's owner and its peers, before data depends on it.

A look at a device finds what is configured wrongly. It does not find a path that serves a cache of its own,
or a peer that could write. So the owner writes to the volume's canary area, flushes and publishes, round
after round, and every peer reads it as a reducer would. Each side is a process that speaks lines of JSON
(:mod:`messages`), on its own host; :mod:`conversation` brings them together, :mod:`verdicts` judges.
"""
