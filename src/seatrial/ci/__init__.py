"""CI around the suites: Jenkins, GitLab, the receiver of hooks. Reads results files, never engines."""
