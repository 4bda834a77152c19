"""Count the words of one part of a text with nothing but Python: ``bare_count.py PATH PART PARTS``."""

import sys
from collections import Counter

PIECE = 16 << 20
"""Bytes held at once, so that a large text does not turn this into a measurement of memory."""


def main(path: str, part: int, parts: int) -> None:
    counts: Counter[str] = Counter()
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(size * part // parts)
        if part:
            file.readline()
        end = size * (part + 1) // parts
        while (left := end - file.tell()) > 0:
            text = file.read(min(left, PIECE)) + file.readline()
            counts.update(text.decode().split())
    print(sum(counts.values()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
