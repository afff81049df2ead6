"""How a model is fitted, judged, compiled and served."""
