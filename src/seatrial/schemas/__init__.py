"""A JSON Schema for every file that the harness reads or writes."""
