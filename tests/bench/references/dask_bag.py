"""Count the words of a text with Dask's bag and two processes: ``dask_bag.py PATH BLOCK_SIZE``."""

import sys

import dask.bag  # type: ignore[import-not-found,import-untyped,unused-ignore]


def main(path: str, block_size: int) -> None:
    lines = dask.bag.read_text(path, blocksize=block_size)  # type: ignore[no-untyped-call,unused-ignore]
    words = lines.map(str.split).flatten()
    counts = words.frequencies().compute(scheduler="processes", num_workers=2)
    print(sum(count for _, count in counts))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
