"""What a submitter tells its user, on stderr: how far the job is, what failed, and a summary at the end."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, NoReturn

from blfs_mr.model import MAP_PEAK, REDUCE_PEAK, Failure
from blfs_mr.units import format_size
from blfs_mr.wire.messages.client import AttemptFailed, JobEnded, JobProgressed

if TYPE_CHECKING:
    from tqdm import tqdm

LINE_INTERVAL = 5.0
"""Seconds between lines of progress where there is no terminal: a log of a long job stays readable."""

FAILURES_TOLD = 10
"""Failed attempts of which each has a line; a thousand times the same line would hide the reason."""


class Reporter:
    """Tells of one job. A bar on a terminal, lines elsewhere, failures only when ``quiet``.

    ``step`` names the job where it is one of several.
    """

    def __init__(self, quiet: bool, step: str = "") -> None:
        self._quiet = quiet
        self._step = f"{step}: " if step else ""
        self._bar: tqdm[NoReturn] | None = None
        self._terminal = sys.stderr.isatty()
        self._next_line = time.monotonic() + LINE_INTERVAL
        self._failures_told = 0

    def news(self, message: JobProgressed | AttemptFailed) -> None:
        """Something happened while the job runs."""
        match message:
            case JobProgressed():
                self._progressed(message)
            case AttemptFailed():
                self._attempt_failed(message)

    def say(self, line: str) -> None:
        """One line on stderr that does not disturb the bar."""
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def finish(self) -> None:
        """The job is over: leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def failed(self, failure: Failure) -> None:
        """Why the job failed, with everything that helps to mend it."""
        self.finish()
        for title, text in (
            ("", failure.traceback.rstrip()),
            ("the record at fault: ", failure.record),
            ("the end of the task's stderr:\n", failure.log_tail.rstrip()),
        ):
            if text:
                self.say(f"{title}{text}")

    def succeeded(self, ended: JobEnded, maps: int, input_bytes: int, output: str) -> None:
        """The summary of a job that is done."""
        self.finish()
        if self._quiet:
            return
        count = ended.counters
        reduces = len(ended.parts)
        failed = f", {ended.attempts_failed} attempts failed" if ended.attempts_failed else ""
        self.say(
            f"{self._step}done in {ended.seconds:.2f} s: {maps} map tasks, {reduces} reduce tasks{failed}"
        )
        read = f"{format_size(input_bytes)}, {count.get('map.records_in', 0):,} records"
        self.say(f"  input     {read} -> {count.get('map.records_out', 0):,} pairs")
        self.say(
            f"  shuffled  {format_size(count.get('shuffle.bytes_read', 0))}, "
            f"{count.get('reduce.records_in', 0):,} records, read from shared files"
        )
        self.say(
            f"  output    {format_size(count.get('reduce.bytes_out', 0))}, "
            f"{count.get('reduce.records_out', 0):,} records{output}"
        )
        peaks = [count.get(peak, 0) for peak in (MAP_PEAK, REDUCE_PEAK)]
        self.say("  memory    {} at most in a map task, {} in a reduce task".format(*map(format_size, peaks)))
        for name, value in count.items():
            if name.startswith("user."):
                self.say(f"  {name.removeprefix('user.')} = {value:,}")

    def _attempt_failed(self, message: AttemptFailed) -> None:
        self._failures_told += 1
        if self._failures_told > FAILURES_TOLD and message.will_retry:
            if self._failures_told == FAILURES_TOLD + 1:
                self.say("more attempts fail; they are counted, and the last one is told")
            return
        then = "it is tried again" if message.will_retry else "the job is given up"
        summary = message.failure.summary.partition("\n")[0]
        self.say(f"{message.attempt} failed on {message.worker}: {summary}; {then}")

    def _progressed(self, progress: JobProgressed) -> None:
        if self._quiet:
            return
        done = progress.maps_done + progress.reduces_done
        text = (
            f"{self._step}map {progress.maps_done}/{progress.maps_total}, "
            f"reduce {progress.reduces_done}/{progress.reduces_total}"
        )
        if not self._terminal:
            if time.monotonic() >= self._next_line:
                self._next_line = time.monotonic() + LINE_INTERVAL
                self.say(f"{text}, {progress.running} running")
            return
        bar = self._bar
        if bar is None:
            from tqdm import tqdm  # Only a terminal pays for its import.

            bar = self._bar = tqdm(
                total=progress.maps_total + progress.reduces_total,
                file=sys.stderr,
                unit="task",
                leave=False,
                bar_format="{bar:30} {n_fmt}/{total_fmt} tasks, {elapsed}{postfix}",
            )
        bar.set_postfix_str(text, refresh=False)
        bar.update(done - bar.n)
        bar.refresh()
