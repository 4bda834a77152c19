"""The steps of a host: made once, told once, and taken away again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from blfs_mr.cluster.host.base import accounts_step, base_steps, enable_step
from blfs_mr.cluster.host.iscsi import shutdown_step
from blfs_mr.cluster.host.leaving import accounts_gone_step, files_gone_step, stopped_step
from blfs_mr.cluster.host.phases import Phase, gone_step, steps_of
from blfs_mr.cluster.host.steps import Step, StepDone, carry_out
from blfs_mr.cluster.host.system import Ran, System
from blfs_mr.cluster.host.units import current_step
from blfs_mr.cluster.host.volumes import MOUNTS, attach_step
from blfs_mr.cluster.places import CONFIG_FILE, VOLUMES_UNIT, WORKER_UNIT
from blfs_mr.cluster.plan import HostFile, HostPlan, Login, PeerVolume
from blfs_mr.errors import ClusterError
from tests.unit.cluster.fake_system import FakeSystem


def login(number: int) -> Login:
    address = f"10.0.0.{number}"
    return Login(worker=f"node-{number}", target=f"iqn.x:node-{number}", address=address, port=3260)


def plan(*peers: int) -> HostPlan:
    return HostPlan(
        cluster="lab",
        name="node-1",
        runs_master=True,
        runs_worker=True,
        volume_gid=7070,
        replacement_timeout=20.0,
        modules=("iscsi_tcp",),
        files=(HostFile(path="/etc/blfs-mr/secret", text="secret\n", mode="0600", user="blfs-mr"),),
        units=(
            HostFile(path="/etc/systemd/system/blfs-mr.target", text="[Unit]\n", mode="0644"),
            HostFile(path="/etc/sysusers.d/blfs-mr.conf", text="u blfs-mr\n", mode="0644"),
        ),
        logins=tuple(login(number) for number in (1, *peers)),
        peers=tuple(PeerVolume(worker=f"node-{peer}", device=f"/dev/{peer}", mount="") for peer in peers),
    )


def applied(steps: list[Step], system: System) -> list[StepDone]:
    done: list[StepDone] = []
    carry_out(steps, system, done.append)
    return done


def test_a_bare_host_is_made_ready_once() -> None:
    system = FakeSystem()
    steps = [*base_steps(plan()), enable_step(plan())]
    assert {done.outcome for done in applied(steps, system)} == {"changed"}
    assert {done.outcome for done in applied(steps, system)} == {"unchanged"}
    assert "groupadd --system --gid 7070 blfs-mr-volumes" in system.ran
    assert system.files["/etc/blfs-mr/secret"] == ("secret\n", 0o600, "blfs-mr", "root")


def test_units_that_were_written_and_never_loaded_are_loaded_at_the_next_run() -> None:
    system = FakeSystem({"systemd-sysusers": Ran(1, "", "killed")})
    with pytest.raises(ClusterError, match="killed"):
        accounts_step(plan()).apply(system)
    system.answers, system.ran = {}, []
    accounts_step(plan()).apply(system)
    assert "systemctl daemon-reload" in system.ran


def test_a_failed_step_ends_the_run_with_its_reason() -> None:
    def fail(system: System) -> bool:
        raise ClusterError("there is no such thing")

    def raise_error(system: System) -> bool:
        raise PermissionError(13, "Permission denied", "/dev/vdb")

    never = Step("never", (), lambda system: True)
    failed = applied([Step("first", (), fail), never], FakeSystem())
    assert failed == [StepDone("first", "failed", "there is no such thing")]
    (failed_by_system,) = applied([Step("first", (), raise_error), never], FakeSystem())
    assert failed_by_system.reason == "/dev/vdb: Permission denied"


def test_a_peer_that_left_is_logged_out_of_though_the_plan_has_forgotten_it() -> None:
    system = FakeSystem()
    for number in (1, 2, 3):
        system.sessions.append((login(number).target, f"{login(number).address}:3260,1"))
    gone_step(plan(2, 3)).apply(system)
    assert len(system.sessions) == 3
    assert gone_step(plan(2)).apply(system)
    assert [target for target, _ in system.sessions] == ["iqn.x:node-1", "iqn.x:node-2"]
    assert not gone_step(plan(2)).apply(system)


def test_a_worker_is_restarted_where_it_was_started_before_its_configuration_came() -> None:
    system = FakeSystem()
    system.times = {CONFIG_FILE: 1000.5, WORKER_UNIT: 900.0}
    assert not current_step(plan()).apply(system)
    system.active.add(WORKER_UNIT)
    assert current_step(plan()).apply(system)
    system.times[WORKER_UNIT] = 1000.0
    assert current_step(plan()).apply(system)
    system.times[WORKER_UNIT] = 1001.0
    assert not current_step(plan()).apply(system)


def test_volumes_that_are_attached_already_are_no_change() -> None:
    class Host(FakeSystem):
        mounts = "/dev/sda /var/lib/blfs-mr/volumes/node-1 ext4 rw 0 0\n"
        missing = "/dev/sdb /var/lib/blfs-mr/volumes/node-2 ext4 ro 0 0\n"

        def read(self, path: str) -> str | None:
            return self.mounts if path == MOUNTS else super().read(path)

        def run(self, argv: Sequence[str], given: str = "", home: str = "") -> Ran:
            if list(argv[1:3]) == ["host", "attach"] and self.missing not in self.mounts:
                self.mounts += self.missing
            return super().run(argv, given, home)

    system = Host()
    assert attach_step(plan(2)).apply(system)
    assert VOLUMES_UNIT in system.active
    assert attach_step(plan(2)).apply(system), "a peer that came since is attached"
    assert not attach_step(plan(2)).apply(system)


def test_the_service_that_logs_out_at_shutdown_is_active_on_a_host_that_booted_bare() -> None:
    system = FakeSystem()
    assert not shutdown_step().apply(system), "a service that is not there is not started"
    system.enabled.add("open-iscsi.service")
    assert shutdown_step().apply(system)
    assert system.active == {"open-iscsi.service"}
    assert not shutdown_step().apply(system)


def test_a_host_that_leaves_keeps_nothing() -> None:
    system = FakeSystem()
    applied([*base_steps(plan()), enable_step(plan())], system)
    steps = [stopped_step(plan()), files_gone_step(plan()), accounts_gone_step()]
    assert {done.outcome for done in applied(steps, system)} == {"changed"}
    assert {done.outcome for done in applied(steps, system)} == {"unchanged"}
    assert not system.files
    assert not system.names
    assert not system.enabled


@pytest.mark.parametrize("phase", list(Phase))
def test_every_step_says_what_it_runs(phase: Phase) -> None:
    for step in steps_of(plan(2, 3), phase):
        assert step.name
        assert step.commands


def test_a_plan_is_carried_as_text_and_never_shown_with_its_secrets() -> None:
    secret = plan(2).model_copy(update={"logins": (login(2).model_copy(update={"password": "hush"}),)})
    assert HostPlan.model_validate_json(secret.model_dump_json()) == secret
    assert "hush" not in repr(secret)
    assert "secret\n" not in repr(secret)
