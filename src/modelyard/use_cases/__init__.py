"""The use cases that come with Modelyard. They are found here, not listed."""
