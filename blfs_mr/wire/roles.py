"""Who may connect to the master, and which messages each may send and receive."""

from __future__ import annotations

import enum
import types

from blfs_mr.wire.messages.client import ClientToMaster, MasterToClient
from blfs_mr.wire.messages.worker import MasterToWorker, WorkerToMaster


class Role(enum.StrEnum):
    """What a connecting peer is: claimed in ``Hello`` and bound into both proofs."""

    WORKER = "worker"
    CLIENT = "client"


TO_MASTER: dict[Role, types.UnionType] = {
    Role.WORKER: WorkerToMaster,
    Role.CLIENT: ClientToMaster,
}
FROM_MASTER: dict[Role, types.UnionType] = {
    Role.WORKER: MasterToWorker,
    Role.CLIENT: MasterToClient,
}
