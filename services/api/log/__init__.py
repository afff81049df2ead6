"""How every answer is kept: in the database, on the disk meanwhile, and once for each key."""
