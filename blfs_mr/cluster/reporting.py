"""What an operator hears while hosts are worked on, and what is left to say at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Report:
    """Progress by host. ``say`` prints a line; steps that changed nothing are told only where ``verbose``."""

    say: Callable[[str], None]
    verbose: bool = False
    changes: dict[str, list[str]] = field(default_factory=dict)

    def step(self, host: str, name: str, outcome: str, reason: str = "") -> None:
        """A step of ``host`` ended. What was changed is remembered."""
        if outcome == "changed":
            self.changes.setdefault(host, []).append(name)
        if outcome != "unchanged" or self.verbose:
            self.say(f"{host}: {name}: {outcome}{': ' if reason else ''}{reason}")

    def summary(self, hosts: int) -> str:
        """The last line: how many hosts, and what was changed on them."""
        count = sum(map(len, self.changes.values()))
        if not count:
            return f"{hosts} hosts are as they should be; nothing was changed"
        return f"{hosts} hosts are as they should be; {count} steps changed something on {len(self.changes)}"
