"""
The read model: the fold of the journal, indexed for the trader's questions, rebuilt at will.

    model     the one writer, fed by the engine; opening and rebuilding
    read      the questions
    query     what may be asked, and its SQL
    schema    tables, and orders as rows
"""
