"""Shows the models to people: made from their contracts alone, over the API alone."""
