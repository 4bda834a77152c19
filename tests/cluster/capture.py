"""Counts what passes a bridge: bytes of TCP payload by port, and what is no TLS where that must be.

    python -m tests.cluster.capture INTERFACE TLS_PORT

It runs in the network of the hosts until its standard input ends, then prints one JSON object.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
from collections import Counter

ETH_P_ALL, ETH_P_IP, TCP = 3, 0x0800, 6
SERVERS = (22, 3260)
TLS_RECORDS = range(20, 24)
"""The first byte of a TLS record: its kind (RFC 8446, 5.1)."""


def payload(frame: bytes) -> tuple[int, int, bytes] | None:
    """Ports and payload of a TCP segment in an Ethernet frame; None of anything else."""
    if len(frame) < 34 or struct.unpack_from("!H", frame, 12)[0] != ETH_P_IP or frame[23] != TCP:
        return None
    at = 14 + (frame[14] & 15) * 4
    end = 14 + struct.unpack_from("!H", frame, 16)[0]
    source, target = struct.unpack_from("!HH", frame, at)
    return source, target, frame[at + (frame[at + 12] >> 4) * 4 : end]


def main() -> None:
    """Capture until standard input ends."""
    interface, tls_port = sys.argv[1], int(sys.argv[2])
    counted: Counter[str] = Counter()
    opened: set[tuple[bytes, int, int]] = set()
    plain = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        sock.bind((interface, 0))
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([sock, sys.stdin], [], [])
            if sys.stdin in ready:
                break
            frame = sock.recv(1 << 16)
            found = payload(frame)
            if found is None or not found[2]:
                continue
            source, target, data = found
            port = next((p for p in (*SERVERS, tls_port) if p in (source, target)), min(source, target))
            counted[str(port)] += len(data)
            # The first segment of each direction begins with a record; later ones may begin inside of one.
            flow = (frame[26:34], source, target)
            if port == tls_port and flow not in opened:
                opened.add(flow)
                plain += data[0] not in TLS_RECORDS
    print(json.dumps({"bytes": counted, "plain": plain, "flows": len(opened)}))


if __name__ == "__main__":
    main()
