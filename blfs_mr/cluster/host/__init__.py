"""The host's half of the cluster's commands: runs there as root and brings the host to what its plan says.

Each step looks first and changes only what is not as planned, so that a plan can be carried out again after
an interruption, and a second time changes nothing.
"""
