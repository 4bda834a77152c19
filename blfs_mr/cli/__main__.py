"""``python -m blfs_mr.cli``: the same as ``blfs-mr``, for where that is not on the path."""

from blfs_mr.cli import main

if __name__ == "__main__":
    main()
