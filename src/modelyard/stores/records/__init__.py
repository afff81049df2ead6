"""Where records are kept: as they came in, and as models are trained on them."""
