"""Engines that the harness brings itself: a host, a root file system and an engine make a lab."""
