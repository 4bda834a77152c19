"""docs/benchmarks.md and its picture: what came of a whole run, for people to read."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from .chart import draw
from .harness import TABLE_HEAD, Report, describe_machine
from .peers import versions
from .processes import REPOSITORY

PAGE = REPOSITORY / "docs" / "benchmarks.md"
PICTURE = REPOSITORY / "docs" / "benchmarks.svg"

PREFACE = f"""# Benchmarks

Written by `python -m tests.bench all`. A ratio says how many times faster than the reference we are: above 1
is faster. Times mean little by themselves, since they are of this one machine; the ratios are the figures.

![How many times faster than each reference]({PICTURE.name})
"""

HOW = """## How it is measured

Both sides run on the same machine in the same minutes: in turn, each round in the other order, after one
round that does not count. Shown are the medians, with the worst and the best round. Our results are checked
in every round.

- **start-up** is a job over one line of text, against what a person at a terminal does not notice.
- **tls** is what mutual TLS costs a job, on loopback.
- **set-up** sets up and asks simulated hosts: SSH servers that answer each command after a second (`status`:
  at once).
- **wordcount** counts words of 3 to 10 letters from a pool of 2,000, ten a line. *Whole splits* hands user
  code the text of a split; *records* calls it for every line.
- **sort** sorts records of 100 bytes with random keys of 10 bytes into 16 parts that follow one another.
- **shuffle-io** writes and reads shared files of 60 MiB, in blocks of 256 KiB: for root on an ext4 of its
  own on a loop device with direct I/O, else in a folder. Our side makes and verifies checksums, fio does not.
- **lab-io** reads the same files from a peer's disk, over iSCSI on loopback.

## To run it again

```
pip install 'blfs-mr[arrow,bench]'  # pyarrow; dask, PySpark (needs Java 17), mrjob
apt-get install fio default-jre-headless
python -m tests.bench all           # everything, and this page; --without NAME leaves one out
python -m tests.bench NAME --json   # one of those above
python -m tests.bench sort --size 1GiB
```

A peer that is not installed is a skipped row.
"""


def write(reports: Sequence[Report]) -> None:
    """Write page and picture."""
    PICTURE.write_text(draw(reports))
    PAGE.write_text(text(reports))


def text(reports: Sequence[Report]) -> str:
    """The page."""
    rounds = ", ".join(sorted({str(report.rounds) for report in reports}))
    machine = describe_machine()
    machine["memory"] = f"{machine.pop('memory_bytes') / 2**30:.0f} GiB"
    facts = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), **machine, **versions()}
    return (
        "\n".join(
            [
                PREFACE,
                *TABLE_HEAD,
                *(line for report in reports for line in report.table_rows()),
                "",
                f"Medians of {rounds} rounds, with the worst and the best.",
                "",
                "## Machine and versions",
                "",
                *(f"- {name}: {value}" for name, value in facts.items()),
                "",
                HOW,
            ]
        ).rstrip("\n")
        + "\n"
    )
