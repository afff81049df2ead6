"""What keeps one client, or many, from taking all of the memory and time."""
