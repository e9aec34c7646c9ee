"""
The read model: the fold of the journal, indexed for the trader's questions, rebuilt at will.

    model     the one writer, fed by the engine; opening and rebuilding
    lookup    the engine's questions, which wait for nobody's lists
    read      what bots list
    latest    the newest order of each group
    query     what may be asked, and its SQL
    schema    tables, and orders as rows
"""
