"""The documentation, and what renders it."""
