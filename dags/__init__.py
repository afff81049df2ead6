"""When things run. Wiring only: what the steps do is in the package `modelyard`."""
