"""
Logs: structlog in front, a thread that writes behind, and nothing in between that could block.

    setup     for the length of a block, all lines of the process go to one stream
    lines     what was logged -> one line of JSON, or one for a person's eyes
    drain     the bounded queue and its thread
"""
