"""Which messages each role may send to the master and receive from it."""

from __future__ import annotations

import types

from blfs_mr.wire.messages.client import ClientToMaster, MasterToClient
from blfs_mr.wire.messages.worker import MasterToWorker, WorkerToMaster
from blfs_mr.wire.roles import Role

TO_MASTER: dict[Role, types.UnionType] = {Role.WORKER: WorkerToMaster, Role.CLIENT: ClientToMaster}
FROM_MASTER: dict[Role, types.UnionType] = {Role.WORKER: MasterToWorker, Role.CLIENT: MasterToClient}
