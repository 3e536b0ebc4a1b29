"""Measuring engines so that a figure can be believed: in turns, with raw samples, beside the machine's state."""
