"""What stands behind ``submit``: the link to a master, the embedded cluster, the output, the report."""
