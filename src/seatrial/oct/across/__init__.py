"""Cases across machines: a scheduler that keeps the books, a worker on each host, a client that has cases run.

    ledger.py    what hosts offer and who holds them; the scheduler
    worker.py    a host: its offers, the sessions that run cases on it
    run.py       the client: places cases, retries those whose host was lost, makes one run of all sessions
    trust.py     who may speak to whom

The cluster is Dask's (the extra `cluster`). It only carries: each case runs in a session of pytest on its host, which
puts back what it has made, whatever becomes of the cluster.
"""
