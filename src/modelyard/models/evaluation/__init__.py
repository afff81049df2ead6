"""How good models are, and whether one may take the place of another."""
