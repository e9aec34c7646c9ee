"""
The journal: the one sequence of everything that happened, on disk before anybody is told.

    store     the writer, its readers, and what the engine knows of both
    schema    tables, triggers, the authorizer, the hash chain
    fold      rows folded into orders again, for rebuilds and audits
    audit     verify and export, for the command line
    disk      one owner at a time, and room kept for a full disk
    sqlite    connections, and what SQLite's errors mean
"""
