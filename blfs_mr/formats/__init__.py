"""What input and output look like: from files to splits to records, and from result pairs to files.

``inputs`` finds the files and divides them, ``reading`` turns a split into records (one class per format, in
``INPUT_FORMATS``), ``outputs`` writes pairs (likewise, in ``OUTPUT_FORMATS``), ``meta`` keeps the lists of
which worker holds which file. Nothing is imported here: a task process needs one or two of them, and starts
sooner without the others.
"""
