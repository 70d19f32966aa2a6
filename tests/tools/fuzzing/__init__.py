"""Attack the command line with mutated files: no traceback, no hang, no memory beyond a bound.

``seeds`` makes sound files of every kind, ``mutations`` damages them, ``attacks`` turns a number
into one damaged input and the command that reads it, ``worker`` runs such commands in a process of
its own, and ``campaign`` hands them out, watches the clock and the memory, and keeps what failed.
An input follows from its seed and its number alone, so each finding can be made again.
"""
