"""Count the words of one part of a text with nothing but Python: ``bare_count.py PATH PART PARTS``."""

import sys
from collections import Counter


def main(path: str, part: int, parts: int) -> None:
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(size * part // parts)
        if part:
            file.readline()
        text = file.read(size * (part + 1) // parts - file.tell()) + file.readline()
    print(sum(Counter(text.decode().split()).values()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
