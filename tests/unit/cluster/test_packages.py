"""The scripts that install packages; dnf's are looked at here only."""

from __future__ import annotations

import subprocess

import pytest

from blfs_mr.cluster.packages import install_script, needed_tools


@pytest.mark.parametrize(
    ("attach", "layout", "tools"),
    [
        ("lio", "file", ("targetcli", "iscsiadm", "mkfs.xfs")),
        ("lio", "raw", ("targetcli", "iscsiadm")),
        ("given", "file", ("mkfs.xfs",)),
        ("given", "raw", ()),
    ],
)
def test_a_host_needs_what_its_volumes_need(attach: str, layout: str, tools: tuple[str, ...]) -> None:
    assert needed_tools(attach, layout, "xfs") == tools


def test_apt_fetches_lists_only_where_it_must() -> None:
    script = install_script(["targetcli", "iscsiadm"], apt=True, from_folder=False)
    install = "apt-get install -q -y --no-install-recommends targetcli-fb python3-dbus open-iscsi"
    assert f"{install} || {{ apt-get update -q; {install}; }}" in script
    assert "iscsi-iname" in script


def test_dnf_has_names_of_its_own() -> None:
    script = install_script(["targetcli", "iscsiadm", "mkfs.ext4"], apt=False, from_folder=False)
    assert "dnf install -q -y targetcli iscsi-initiator-utils e2fsprogs" in script


@pytest.mark.parametrize(("apt", "wanted"), [(True, "*.deb"), (False, "--disablerepo=* ")])
def test_a_folder_of_packages_needs_no_repository(apt: bool, wanted: str) -> None:
    script = install_script(["mkfs.xfs"], apt=apt, from_folder=True)
    assert wanted in script
    assert "tar -xf -" in script
    assert "update" not in script


@pytest.mark.parametrize("apt", [True, False])
@pytest.mark.parametrize("from_folder", [True, False])
def test_the_scripts_are_good_shell(apt: bool, from_folder: bool) -> None:
    script = install_script(["targetcli", "iscsiadm", "mkfs.ext4"], apt=apt, from_folder=from_folder)
    subprocess.run(["sh", "-n", "-c", script], check=True)
