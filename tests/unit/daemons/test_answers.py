"""What the master says of its cluster."""

from __future__ import annotations

from dataclasses import replace

from blfs_mr.config import load_config
from blfs_mr.core import events as e
from blfs_mr.core.scheduler import Scheduler
from blfs_mr.model import IncarnationId, VolumeAccess, VolumeId, VolumeLayout, WorkerName
from blfs_mr.wire.messages.worker import RegisterWorker, WorkerCondition
from daemons.answers import Registered, describe_cluster

PROVEN = WorkerName("proven")
ACCESS = VolumeAccess(VolumeId("a1" * 16), VolumeLayout.DIRECTORY, "/volume")
TOLD = RegisterWorker(PROVEN, IncarnationId("1"), "host", 2, ACCESS, 8, 1 << 20, (), (), "/input")


def test_a_worker_is_called_what_it_has_proven_to_be_whatever_it_says() -> None:
    scheduler = Scheduler(60.0)
    scheduler.handle(e.WorkerJoined(PROVEN, 2, (), "host", ACCESS.volume, ()), 0.0)
    told = replace(TOLD, name=WorkerName("another"))
    workers = {PROVEN: Registered(told, None, WorkerCondition(8, ()))}
    described = describe_cluster(load_config(None, {}), "master", scheduler, workers, 0.0)
    assert [worker.name for worker in described.workers] == [PROVEN]
    assert [volume.owner for volume in described.volumes] == [PROVEN]
