"""What each step does; each is a function of a use case and the stores."""
