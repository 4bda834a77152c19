"""Jobs worth copying. Each is one file, as a job file always is, and says in its docstring how to run it."""
