"""What a host's answer means, and that the question runs in a plain shell."""

from __future__ import annotations

import json
import subprocess

import pytest

from blfs_mr.cluster.facts import facts_script, parse_device, parse_facts, parse_initiator

LSBLK = """{
   "blockdevices": [
      {
         "name":"sda", "type":"disk", "size":"21474836480", "ro":"0", "log-sec":"512", "mountpoints":[null],
         "children": [
            {"name":"sda1", "type":"part", "size":1, "ro":false, "log-sec":512, "mountpoints":["/boot"],
             "children":[{"name":"root", "type":"lvm", "mountpoints":["/", "[SWAP]"]}]}
         ]
      }
   ]
}"""


def test_the_question_is_answered_by_this_host() -> None:
    script = facts_script(["/dev/absent"], ["no_such_module"], 4_000_000)
    ran = subprocess.run(["sh", "-s"], input=script, capture_output=True, text=True, check=True)
    facts = parse_facts(ran.stdout)
    assert ran.stderr == ""
    assert facts.python.startswith("3.")
    assert facts.machine
    assert facts.clock > 1_700_000_000
    assert set(facts.free) == {"/var", "/opt"}
    assert facts.modules == frozenset()
    assert facts.devices == {"/dev/absent": None}
    assert facts.bundle == ""


def test_a_device_is_in_use_by_whatever_is_made_of_it() -> None:
    device = parse_device(LSBLK, "TYPE=dos\n", "")
    assert device is not None
    assert device.path == "/dev/sda"
    assert device.parts == ("sda1", "root")
    assert device.mounts == ("/boot", "/", "[SWAP]")
    assert device.size == 21474836480
    assert not device.read_only
    assert device.holds == "dos"


def test_a_volume_in_the_raw_layout_is_known_by_its_magic() -> None:
    device = parse_device(LSBLK, "", " 62 6c 66 73 2d 76 6f 6c\n")
    assert device is not None
    assert device.holds == "blfs-mr"


@pytest.mark.parametrize("text", ["", "{}", "lsblk: not a block device", json.dumps({"blockdevices": []})])
def test_no_device_is_none(text: str) -> None:
    assert parse_device(text, "", "") is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("# comment\nInitiatorName=iqn.1993-08.org.debian:01:abc\n", "iqn.1993-08.org.debian:01:abc"),
        ("GenerateName=yes\n", ""),
        ("", ""),
    ],
)
def test_an_initiator_name_may_still_have_to_be_made(text: str, name: str) -> None:
    assert parse_initiator(text) == name


def test_an_answer_that_is_cut_short_is_empty_where_it_ends() -> None:
    facts = parse_facts("noise\n@system\nID=debian\n@machine\n")
    assert facts.system_like == {"debian"}
    assert facts.machine == facts.python == ""
    assert facts.user == -1
