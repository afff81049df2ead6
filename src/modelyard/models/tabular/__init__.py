"""Models of tables: scikit-learn pipelines, and the same as ONNX."""
