"""Models of images: Keras networks, and the same as ONNX."""
