"""Whether isolation holds: protections, each with the control that shows that the probe could have failed."""
