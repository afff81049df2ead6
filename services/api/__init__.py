"""Answers predictions over HTTP, and keeps every one that it answers."""
