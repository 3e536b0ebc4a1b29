"""Drivers: what one engine calls a thing, how it is asked, and what it answers."""
