"""Who may connect to the master."""

from __future__ import annotations

import enum


class Role(enum.StrEnum):
    """What a connecting peer is: claimed in ``Hello`` and bound into both proofs."""

    WORKER = "worker"
    CLIENT = "client"
