"""Where things are kept: the raw and the clean database, the registry."""
