"""OCI runtimes under test: bundles, the probe inside a container, and what is observed from outside."""
