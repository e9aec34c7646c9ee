"""
The survey: every order's sample and their tallies, kept and asked in a process of its own.

    question    what is asked, and of whom
    cells       tallies of orders that agree in some dimensions
    schema      the tables, and how their file is opened
    source      what is read of the read model
    keys        the terms that tell orders apart
    shelf       which cells are kept
    blocks      orders by the thousand, and blocks of blocks
    answers     which samples and cells a question means
    store       follows the read model, order by order
    __main__    the process: lines in, lines out
    pace        how fast it catches up
    surveyor    its keeper in the daemon

A process of its own, because adding up is Python's work and would hold up the daemon's loop.
"""
