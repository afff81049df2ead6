"""The whole loop once, for people to see."""
