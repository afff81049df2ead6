"""Proposes use cases from data that nobody has declared yet: `modelyard new`."""
