"""What runs in task processes: the launcher of a job, and the mappers and reducers it forks.

User code runs here and nowhere else. A task process has one blocking socket to its worker, no event loop and
no threads but those that keep direct reads in flight.
"""
