"""The tracking server of the platform in containers."""
