"""What sets the platform in containers up: run once at every start, and safe to run again."""
