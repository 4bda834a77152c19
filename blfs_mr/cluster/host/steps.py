"""A step of a plan, and how a list of them is carried out and told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from blfs_mr.cluster.host.system import Ran, System
from blfs_mr.errors import BlfsMrError, ClusterError


@dataclass(frozen=True, slots=True)
class Step:
    """Something to be so on a host. ``commands`` say how it comes to be on a bare one, for people to read.

    ``apply`` makes it so and returns whether anything had to change.
    """

    name: str
    commands: Sequence[str]
    apply: Callable[[System], bool]


@dataclass(frozen=True, slots=True)
class StepDone:
    """What came of a step: ``outcome`` is "unchanged", "changed" or "failed", this one with a ``reason``."""

    name: str
    outcome: str
    reason: str = ""


def carry_out(steps: Iterable[Step], system: System, tell: Callable[[StepDone], None]) -> bool:
    """Apply ``steps`` in their order, up to the first that fails; whether all went well."""
    for step in steps:
        try:
            outcome = "changed" if step.apply(system) else "unchanged"
        except BlfsMrError as error:
            tell(StepDone(step.name, "failed", str(error)))
            return False
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            tell(StepDone(step.name, "failed", f"{where}{error.strerror or error}"))
            return False
        tell(StepDone(step.name, outcome))
    return True


def command(system: System, argv: Sequence[str], *, allowed: Sequence[int] = (0,)) -> Ran:
    """Run a program that must end with one of the ``allowed`` exit codes. Raises ClusterError."""
    ran = system.run(argv)
    if ran.exit_code not in allowed:
        said = " ".join((ran.error or ran.output).split())[-500:] or f"exit code {ran.exit_code}"
        raise ClusterError(f"`{' '.join(argv)}` failed: {said}")
    return ran
