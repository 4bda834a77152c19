"""Experiments on the machine at hand: what its kernel does, as opposed to what one would expect of it."""
