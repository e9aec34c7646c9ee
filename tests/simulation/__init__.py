"""
The simulator: the production desk on virtual time, with a venue, a network and a disk that fail.

    loop        virtual time, and an asyncio loop that runs on it
    disk        a disk with rows written and rows synced; a journal and a history on it
    faults      what goes wrong in a seed, and how often
    promises    the venues of a seed: what they promise, and how they speak
    venue       the venue: its orders, its executions, its own log: the oracle
    network     an executor, and the wire between it and the venue
    bots        those who trade
    life        one run of the daemon, from its start to its end
    oracle      what must be true, at every step and at the end
    story       what happened, for people
    world       all of it together: one seed
    mutants     weakened builds that the simulator must catch
    farm        many seeds on many cores, with a progress bar

A seed decides everything: the same seed is the same run, call for call.
"""
