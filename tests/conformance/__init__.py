"""
What every executor must do, tried on each adapter against a real server.

An adapter takes part by one file here, `subject_NAME.py`, with one async context manager:

    @asynccontextmanager
    async def subject(directory: Path) -> AsyncGenerator[Subject]:

It starts the venue, and gives the executor, not yet connected, and what the suite may do to the
venue (see `subjects.Subject`). Everything is torn down when the block ends.
"""
