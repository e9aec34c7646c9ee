"""
Execution statistics as bots see them: one row a group, each figure with what it rests on.

    shapes    what a row holds
    show      from tallies to rows

Pure. Formulas, signs and sources are in docs/statistics.md. Every measure names its benchmark and
weighting and says how many orders (or fills) it could use: `n` of `total`, `missing` the rest. A
figure that nothing could be used for is null, never 0.
"""
