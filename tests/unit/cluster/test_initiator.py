"""Sessions and records of open-iscsi."""

from __future__ import annotations

import pytest

from blfs_mr.cluster import initiator
from blfs_mr.cluster.host.iscsi import login_step, logout_step
from blfs_mr.cluster.host.system import Ran
from blfs_mr.cluster.plan import Login
from blfs_mr.errors import ClusterError
from tests.unit.cluster.fake_system import RECORD, FakeSystem


def login(number: int) -> Login:
    return Login(
        worker=f"node-{number}",
        target=f"iqn.2022-05.10.0.0.{number}:node-{number}",
        address=f"10.0.0.{number}",
        port=3260,
        user="lab-node-1",
        password="0123456789abcdef",
    )


SESSIONS = """\
tcp: [1] 10.0.0.1:3260,1 iqn.2022-05.10.0.0.1:node-1 (non-flash)
tcp: [12] 10.0.0.2:3260,1 iqn.2022-05.10.0.0.2:node-2
iser: [3] [fd00::1]:860,-1 iqn.2001-01.example:x (non-flash)
"""


def test_sessions_are_read() -> None:
    assert initiator.parse_sessions(SESSIONS) == {
        ("iqn.2022-05.10.0.0.1:node-1", "10.0.0.1", 3260),
        ("iqn.2022-05.10.0.0.2:node-2", "10.0.0.2", 3260),
        ("iqn.2001-01.example:x", "fd00::1", 860),
    }


def test_records_are_read() -> None:
    assert initiator.parse_records("10.0.0.1:3260,1 iqn.2022-05.10.0.0.1:node-1\n") == {
        ("iqn.2022-05.10.0.0.1:node-1", "10.0.0.1", 3260)
    }
    assert initiator.parse_records("iscsiadm: No records found\n") == set()


def test_a_record_gets_its_settings_in_place_and_the_missing_ones_before_its_end() -> None:
    before = RECORD.format(target="x")
    after = initiator.changed_record(before, {"node.startup": "automatic", "new": "1"})
    assert after == "# BEGIN RECORD 2.1.8\nnode.name = x\nnode.startup = automatic\nnew = 1\n# END RECORD\n"
    assert initiator.changed_record(after, {"node.startup": "automatic", "new": "1"}) == after


def test_a_login_is_for_each_boot_with_chap_and_a_deadline_for_lost_targets() -> None:
    settings = initiator.record_settings(login(2), 20.0)
    assert settings["node.startup"] == "automatic"
    assert settings["node.session.timeo.replacement_timeout"] == "20"
    assert settings["node.session.initial_login_retry_max"] == "2"
    assert settings["node.session.auth.authmethod"] == "CHAP"


def test_logins_are_made_once_and_their_passwords_stand_in_records_only() -> None:
    system = FakeSystem()
    step = login_step("logins", [login(1), login(2)], 20.0)
    assert step.apply(system)
    assert not step.apply(system)
    assert len(system.sessions) == 2
    (text, mode, *_) = system.files["/etc/iscsi/nodes/iqn.2022-05.10.0.0.2:node-2/10.0.0.2,3260,1/default"]
    assert "node.session.auth.password = 0123456789abcdef" in text
    assert mode == 0o600
    assert not any("0123456789abcdef" in line for line in [*system.ran, *step.commands])


def test_a_session_that_is_missing_is_made_again() -> None:
    system = FakeSystem()
    step = login_step("logins", [login(1), login(2)], 20.0)
    step.apply(system)
    system.sessions.pop()
    assert step.apply(system)
    assert len(system.sessions) == 2


def test_a_changed_password_reaches_the_record() -> None:
    system = FakeSystem()
    login_step("logins", [login(1)], 20.0).apply(system)
    other = login(1).model_copy(update={"password": "fedcba9876543210"})
    assert login_step("logins", [other], 20.0).apply(system)


def test_logouts_leave_neither_session_nor_record() -> None:
    system = FakeSystem()
    login_step("logins", [login(1), login(2)], 20.0).apply(system)
    assert logout_step("logouts", [login(2)]).apply(system)
    assert [target for target, _ in system.sessions] == ["iqn.2022-05.10.0.0.1:node-1"]
    assert not logout_step("logouts", [login(2)]).apply(system)


def test_a_login_that_fails_says_why() -> None:
    system = FakeSystem()
    answer = Ran(24, "", "iscsiadm: initiator reported error (24 - iSCSI login failed due to authorization)")
    command = " ".join(initiator.login_command(login(1)))
    system.answers = {command: answer}
    with pytest.raises(ClusterError, match="failed due to authorization"):
        login_step("logins", [login(1)], 20.0).apply(system)
