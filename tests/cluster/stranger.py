"""What a host that is no part of the cluster gets to hear, from every port of another host.

    python -m tests.cluster.stranger ADDRESS MASTER_PORT ISCSI_PORT TARGET

It prints one JSON object: the ports that accept connections, what the master says to plain bytes and to TLS
without a certificate, and what the iSCSI target says (RFC 7143) to a discovery and to a login without CHAP.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import sys

DEADLINE = 120.0
AT_ONCE = 256
ROUNDS = 8
INITIATOR = "iqn.2022-05.elsewhere:stranger"

_LOGIN, _TEXT = 0x43, 0x44
"""Opcodes of requests, with the flag that has them answered at once."""


async def open_ports(address: str) -> list[int]:
    """All TCP ports of ``address`` that accept a connection."""
    turns, found = asyncio.Semaphore(AT_ONCE), list[int]()

    async def knock(port: int) -> None:
        async with turns:
            try:
                _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), DEADLINE)
            except OSError:  # A port that does not answer in time as well.
                return
        found.append(port)
        writer.close()

    await asyncio.gather(*map(knock, range(1, 1 << 16)))
    return sorted(found)


def answer_to_plain_bytes(address: str, port: int) -> bytes:
    """What comes back for bytes that are no TLS, until the connection ends."""
    with socket.create_connection((address, port), DEADLINE) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n" + bytes(64))
        return _until_end(sock)


def answer_to_tls(address: str, port: int) -> bytes:
    """What is said inside of TLS to somebody without a certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address, port), DEADLINE) as plain,
            context.wrap_socket(plain) as sock,
        ):
            return _until_end(sock)
    except ssl.SSLError:
        return b""


def targets_told(address: str, port: int) -> list[str]:
    """The names of targets that a discovery is told."""
    with socket.create_connection((address, port), DEADLINE) as sock:
        # To the stage of operational parameters, and out of it into a session.
        offer = {"HeaderDigest": "None", "DataDigest": "None", "MaxRecvDataSegmentLength": "8192"}
        if _login(sock, 1, 3, {"SessionType": "Discovery", **offer}):
            return []
        _send(sock, _TEXT, 0x80, bytes(8), b"SendTargets=All\0")
        said = _receive(sock)[1]
    return [
        pair.removeprefix("TargetName=") for pair in said.decode().split("\0") if pair[:11] == "TargetName="
    ]


def login_status(address: str, port: int, target: str) -> int:
    """The class of the answer to a login to ``target`` without proof: 0 would be success."""
    with socket.create_connection((address, port), DEADLINE) as sock:
        return _login(sock, 0, 1, {"SessionType": "Normal", "TargetName": target, "AuthMethod": "None"})


def _login(sock: socket.socket, stage: int, following: int, keys: dict[str, str]) -> int:
    """Ask to go from one stage of a login to another; the class of the answer."""
    pairs = {"InitiatorName": INITIATOR, **keys}
    data = "".join(f"{key}={value}\0" for key, value in pairs.items()).encode()
    for _ in range(ROUNDS):
        _send(sock, _LOGIN, 0x80 | stage << 2 | following, bytes.fromhex("800000000001") + bytes(2), data)
        header, _ = _receive(sock)
        # What it says of itself comes first, and then, in an answer of its own, that it agrees.
        if header[36] or header[1] & 0x80:
            return header[36]
        data = b""
    raise TimeoutError(f"no agreement in {ROUNDS} rounds")


def _send(sock: socket.socket, opcode: int, flags: int, place: bytes, data: bytes) -> None:
    header = struct.pack("!BBHB", opcode, flags, 0, 0) + len(data).to_bytes(3, "big") + place
    header += struct.pack("!II", 1, 0xFFFFFFFF if opcode == _TEXT else 0)
    sock.sendall(header.ljust(48, b"\0") + data + bytes(-len(data) % 4))


def _receive(sock: socket.socket) -> tuple[bytes, bytes]:
    """Header and data of the next answer; a connection that ends says class 2, the initiator's fault."""
    header = _exactly(sock, 48)
    if len(header) < 48:
        return bytes(36) + b"\x02" + bytes(11), b""
    size = int.from_bytes(header[5:8], "big")
    return header, _exactly(sock, size + -size % 4)[:size]


def _exactly(sock: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size and (more := sock.recv(size - len(got))):
        got += more
    return got


def _until_end(sock: socket.socket) -> bytes:
    got = b""
    try:
        while more := sock.recv(4096):
            got += more
    except ConnectionError:
        pass
    return got


def main() -> None:
    """Ask all, and print the answers."""
    address, master, iscsi, target = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    answers = {
        "open": asyncio.run(open_ports(address)),
        "plain": answer_to_plain_bytes(address, master).hex(),
        "tls": answer_to_tls(address, master).hex(),
        "targets": targets_told(address, iscsi),
        "login": login_status(address, iscsi, target),
    }
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
