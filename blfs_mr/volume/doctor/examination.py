"""Brings the sides of an examination together: who is told what, and who is given up. No I/O, no clock.

A peer that cannot take part, or falls silent because a read of it hangs, is left out; the others go on.
"""

from __future__ import annotations

from collections.abc import Iterable

from blfs_mr.errors import ProtocolError
from blfs_mr.volume.doctor.messages import Finish, Introduction, Message, Published, Seen, SideReport

OWNER = ""
"""The owner's name among the sides; a peer's name is never empty."""

_ALL_ROUNDS = 1 << 40
"""What an owner is told that has no peer left: it need not wait."""

Sending = tuple[str, Message]


class Examination:
    """The state of one examination. ``reports`` holds what each side reported, OWNER among them."""

    def __init__(self, peers: Iterable[str]) -> None:
        self.reports: dict[str, SideReport] = {}
        self._seen = dict.fromkeys(peers, -1)
        self._published = -1
        self._owner_told = -1
        self._finishing = False

    @property
    def done(self) -> bool:
        """Whether every side has reported."""
        return OWNER in self.reports and not self._seen

    def heard(self, side: str, message: Message) -> list[Sending]:
        """What to send, and to whom, after ``side`` said ``message``. Raises ProtocolError."""
        if side in self.reports:
            # Given up before: what it says after all changes nothing.
            return []
        match message:
            case Introduction() if side == OWNER and self._published < 0:
                self._published = 0
                return [(peer, message) for peer in self._seen]
            case Published() if side == OWNER and message.round == self._published + 1:
                self._published = message.round
                return [(peer, message) for peer in self._seen]
            case Seen() if side in self._seen:
                self._seen[side] = message.round
                return self._go_on()
            case SideReport() if side == OWNER or side in self._seen:
                self.reports[side] = message
                self._seen.pop(side, None)
                return self._go_on()
        raise ProtocolError(
            f"the volume doctor of {side or 'the owner'} said what it may not now: {message!r}"
        )

    def ended(self, side: str, why: str) -> list[Sending]:
        """As :meth:`heard`, when ``side`` has ended, whether it reported or not."""
        return self.heard(side, SideReport(path=None, breaches=(), deeds=None, why=why))

    def given_up(self, why: str) -> list[Sending]:
        """As :meth:`heard`, when nobody has spoken for too long: those that it was up to are left out."""
        expected = 0 if self._published < 0 else self._published
        late = [peer for peer, seen in self._seen.items() if seen < expected]
        if self._finishing:
            late = list(self._seen)
        elif not late or self._published < 0:
            late = [OWNER]
        return [sending for side in late for sending in self.ended(side, why)]

    def _go_on(self) -> list[Sending]:
        if OWNER in self.reports:
            # Without an introduction the peers wait for nothing.
            if self._finishing or any(0 <= seen < self._published for seen in self._seen.values()):
                return []
            self._finishing = True
            return [(peer, Finish()) for peer in self._seen]
        seen = min(self._seen.values(), default=_ALL_ROUNDS)
        if self._published < 0 or seen <= self._owner_told:
            return []
        self._owner_told = seen
        return [(OWNER, Seen(round=seen))]
