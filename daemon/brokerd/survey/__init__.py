"""
The survey: every order's sample and their tallies, kept and asked in a process of its own.

    question    what is asked, and of whom
    store       the samples, in blocks of tallies; follows the read model
    __main__    the process: lines in, lines out
    surveyor    its keeper in the daemon

A process of its own, because adding up is Python's work and would hold up the daemon's loop.
"""
