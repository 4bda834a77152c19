"""The handshake that opens every link to the master (see ``blfs_mr.wire.handshake``)."""

from __future__ import annotations

from blfs_mr.model import IncarnationId
from blfs_mr.values import dataclass
from blfs_mr.wire.messages.base import Message


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """A connecting peer's first message. ``role`` is ``worker`` or ``client``; ``nonce`` 32 random bytes."""

    version: int
    cluster: str
    role: str
    name: str
    incarnation: IncarnationId
    nonce: bytes


@dataclass(frozen=True, slots=True)
class Challenge(Message):
    """The master's answer to :class:`Hello`, with its epoch and nonce."""

    version: int
    cluster: str
    epoch: int
    nonce: bytes


@dataclass(frozen=True, slots=True)
class ClientProof(Message):
    """The connecting peer's HMAC over both nonces and its claims."""

    proof: bytes


@dataclass(frozen=True, slots=True)
class ServerProof(Message):
    """The master's HMAC; the link is open once it is verified."""

    proof: bytes


@dataclass(frozen=True, slots=True)
class HandshakeFailed(Message):
    """Why the master closes the connection."""

    reason: str


HandshakeMessage = Hello | Challenge | ClientProof | ServerProof | HandshakeFailed
