"""The platform as native processes, without Docker."""
