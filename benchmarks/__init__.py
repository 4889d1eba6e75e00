"""Every speed claim, measured: `make bench`, or `python -m benchmarks gate` for one of them.

A claim is a ratio or a difference to a peer that is measured in the same run, in turns, so that a machine which is busy
with other things slows down both.
"""
