"""Servers that come with Python packages, for one home."""
