"""How the body of a request becomes what a model takes, for each kind of input."""
