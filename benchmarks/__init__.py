"""
The daemon's speed, measured beside the floor it stands on: `python -m benchmarks`.

    floor       the least a durable answer can cost: a line in, a row on disk, the line back
    programs    the daemon and the floor as processes: started, ready, weighed, stopped
    bots        the client both are measured with
    histories   journals of any length, written through the daemon's own code
    latency     (a) one order at a time
    throughput  (b) many in flight
    startup     (c) start time and memory by length of history
    crowd       (d) speed by number of open orders
    venue       (e) orders at a venue, beside ccxt called directly
    direct      that ccxt, as a process of its own
    report      what was measured against what was wanted

Each pair that is compared takes turns within the run, so that a busy machine slows both.
"""
