"""From a focal stack to a result: working sizes, looks, windows and tiles around a model, on torch or ONNX Runtime."""
