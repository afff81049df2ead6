"""The versions that answer: fetched, verified, served, and shadowed."""
