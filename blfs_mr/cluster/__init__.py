"""The cluster as its operator sees it: an inventory of hosts, and what is done on them over SSH.

The room has two halves. The operator's half plans, connects and reports; the host's half runs on each host as
``blfs-mr host`` and brings it, step by step, to what its plan says. What a plan or a tool's output means is
decided by pure functions in between.
"""
