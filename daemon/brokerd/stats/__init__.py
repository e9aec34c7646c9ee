"""
Execution statistics: pure functions from orders to figures. Formulas: docs/statistics.md.

    sample    one order -> what it adds to every figure
    marks     fills -> the mid prices some time after them
    runs      which times lie across a restart of the daemon
    tally     samples added up; tallies add up the same way
    replay    a journal -> the samples of all its orders
    figures   a tally -> means, quantiles, shares, the curve of fills

Everything that is added up is a whole number, so that sums are exact and come out the same in any
order and any grouping: from memory, from the read model, and from a replay of the journal.
"""
