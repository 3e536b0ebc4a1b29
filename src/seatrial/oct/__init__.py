"""OCT, open container tests: cases as JSON documents, their library, and the engine that runs them."""
