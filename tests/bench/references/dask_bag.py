"""Count the words of a text with Dask's bag and two processes: ``dask_bag.py PATH BLOCK_SIZE``."""

import sys

import dask.bag  # type: ignore[import-not-found,unused-ignore]


def main(path: str, block_size: int) -> None:
    words = dask.bag.read_text(path, blocksize=block_size).map(str.split).flatten()
    counts = words.frequencies().compute(scheduler="processes", num_workers=2)
    print(sum(count for _, count in counts))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
