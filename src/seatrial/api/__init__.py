"""An engine's HTTP interface: raw requests, streams, and docker-py, each bound to a test's journal and cleaning."""
