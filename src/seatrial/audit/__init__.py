"""Audit of a host and its engine: how they are configured, and what runs; `scene` looks, `checks` judge."""
