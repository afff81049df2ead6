"""Models as files that onnxruntime runs: read, verified and compared with what they were made from."""
