"""Load: workloads, the drivers that carry them to an engine, what is recorded meanwhile, and what it proves."""
