"""The receiver of GitLab's hooks for a Jenkins without the GitLab plugin.

A request is checked, judged and written down in one transaction, then answered; a worker does the rest from what
is written down, so that a restart loses nothing and repeats nothing.
"""
