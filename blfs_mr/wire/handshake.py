"""Mutual proof of the cluster secret, as two state machines without I/O.

::

    connecting peer                              master
        Hello (claims, nonce)          ->
                                       <-        Challenge (epoch, nonce)
        ClientProof                    ->
                                       <-        ServerProof

Each proof is an HMAC-SHA256 with the secret over everything both sides said: the side's own label, the
version, cluster, role, name, incarnation, epoch and both nonces, each with its length before it so that no
two transcripts have the same bytes. Fresh nonces make a recorded proof worthless (replay), the label makes
one side's proof worthless as the other's (reflection), the claims cannot be altered on the way. The secret
never crosses the link. The connecting side proves itself first, so a stranger who probes the port learns
nothing that the secret made. In place of its next message the master may say ``HandshakeFailed``.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from blfs_mr.errors import HandshakeRefused
from blfs_mr.model import IncarnationId
from blfs_mr.values import dataclass
from blfs_mr.wire.messages.handshake import (
    Challenge,
    ClientProof,
    HandshakeFailed,
    HandshakeMessage,
    Hello,
    ServerProof,
)
from blfs_mr.wire.roles import Role

PROTOCOL_VERSION = 1
"""Raised with any change to a message, the envelope or the frames. The handshake's own messages keep their
shape for ever: two versions must be able to tell each other that they differ."""

NONCE_SIZE = 32
"""Bytes of a nonce; as long as the HMAC, so that it is not the easier thing to guess or to see twice."""

MAX_NAME = 255
"""Characters of a name, role or incarnation: they are written to logs before they are proven."""

_WRONG_SECRET = "the cluster secrets differ"
_CLIENT, _SERVER = b"client", b"server"


@dataclass(frozen=True, slots=True)
class PeerClaims:
    """Who is at the other end of a link, proven by the handshake."""

    role: Role
    name: str
    incarnation: IncarnationId


def proof(secret: bytes, label: bytes, hello: Hello, challenge: Challenge) -> bytes:
    """The 32 bytes by which the side ``label`` (``b"client"`` or ``b"server"``) proves the secret."""
    parts = (
        label,
        str(hello.version).encode(),
        _bytes(hello.cluster),
        _bytes(hello.role),
        _bytes(hello.name),
        _bytes(hello.incarnation),
        str(challenge.epoch).encode(),
        hello.nonce,
        challenge.nonce,
    )
    transcript = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(secret, transcript, "sha256")


class ClientHandshake:
    """The connecting side. Send :meth:`hello`, then give :meth:`handle` what arrives until :attr:`done`.

    ``epoch`` is the master's, once done. A master whose epoch is below ``lowest_epoch`` has been replaced by
    a newer one, and is refused.
    """

    def __init__(
        self,
        *,
        cluster: str,
        secret: bytes,
        role: Role,
        name: str,
        incarnation: IncarnationId,
        nonce: bytes,
        lowest_epoch: int = 0,
    ) -> None:
        self._secret = secret
        self._lowest_epoch = lowest_epoch
        self._hello = Hello(PROTOCOL_VERSION, cluster, role.value, name, incarnation, nonce)
        self._challenge: Challenge | None = None
        self.done = False

    @property
    def epoch(self) -> int:
        if self._challenge is None:
            raise HandshakeRefused("the master has not named its epoch")
        return self._challenge.epoch

    def hello(self) -> Hello:
        """The first message."""
        return self._hello

    def handle(self, message: HandshakeMessage) -> ClientProof | None:
        """The answer to ``message``, None when the handshake is done; raises :class:`HandshakeRefused`."""
        if isinstance(message, HandshakeFailed):
            # The reason comes from somebody unproven and goes to a terminal.
            reason = message.reason if message.reason.isprintable() else repr(message.reason)
            raise HandshakeRefused(f"the master refused the connection: {reason}")
        if isinstance(message, Challenge) and self._challenge is None:
            _check_same(self._hello, message.version, message.cluster, message.nonce)
            if message.epoch < self._lowest_epoch:
                raise HandshakeRefused(
                    f"the master's epoch is {message.epoch}, but {self._lowest_epoch} was seen already: "
                    "this master has been replaced by a newer one"
                )
            self._challenge = message
            return ClientProof(proof(self._secret, _CLIENT, self._hello, message))
        if isinstance(message, ServerProof) and self._challenge is not None and not self.done:
            expected = proof(self._secret, _SERVER, self._hello, self._challenge)
            if not hmac.compare_digest(expected, message.proof):
                raise HandshakeRefused(_WRONG_SECRET)
            self.done = True
            return None
        raise HandshakeRefused(f"{type(message).__name__} came out of turn")


class ServerHandshake:
    """The master's side of one connection. Give :meth:`handle` what arrives, send what it returns.

    ``peer`` is None until the peer has proven a secret; then it says who they are. There are several of
    ``secrets`` while one is replaced by another. When :meth:`handle` raises, the exception's text is what may
    be told to the peer.
    """

    def __init__(self, *, cluster: str, secrets: Sequence[bytes], epoch: int, nonce: bytes) -> None:
        self._secrets = secrets
        self._challenge = Challenge(PROTOCOL_VERSION, cluster, epoch, nonce)
        self._hello: Hello | None = None
        self.peer: PeerClaims | None = None

    def handle(self, message: HandshakeMessage) -> Challenge | ServerProof:
        """The answer to ``message``; raises :class:`HandshakeRefused`."""
        if isinstance(message, Hello) and self._hello is None:
            _check_same(self._challenge, message.version, message.cluster, message.nonce)
            _check_claims(message)
            self._hello = message
            return self._challenge
        if isinstance(message, ClientProof) and self._hello is not None and self.peer is None:
            secret = self._proven(self._hello, message)
            self.peer = PeerClaims(Role(self._hello.role), self._hello.name, self._hello.incarnation)
            return ServerProof(proof(secret, _SERVER, self._hello, self._challenge))
        raise HandshakeRefused(f"{type(message).__name__} came out of turn")

    def _proven(self, hello: Hello, message: ClientProof) -> bytes:
        for secret in self._secrets:
            if hmac.compare_digest(proof(secret, _CLIENT, hello, self._challenge), message.proof):
                return secret
        raise HandshakeRefused(_WRONG_SECRET)


def _check_same(ours: Hello | Challenge, version: int, cluster: str, nonce: bytes) -> None:
    if version != ours.version:
        raise HandshakeRefused(
            f"protocol versions differ: {ours.version} here, {version} there; "
            "install the same release of blfs_mr on all nodes"
        )
    if cluster != ours.cluster:
        raise HandshakeRefused(f"cluster ids differ: {ours.cluster!r} here, {cluster[:MAX_NAME]!r} there")
    if len(nonce) != NONCE_SIZE:
        raise HandshakeRefused(f"a nonce of {len(nonce)} bytes; it must have {NONCE_SIZE}")


def _check_claims(hello: Hello) -> None:
    if hello.role not in set(Role):
        raise HandshakeRefused(f"unknown role; allowed are {', '.join(Role)}")
    for claim, value in (("name", hello.name), ("incarnation", hello.incarnation)):
        if len(value) > MAX_NAME or not value.isprintable():
            raise HandshakeRefused(f"the {claim} must be printable and at most {MAX_NAME} characters long")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
