"""Files of a run for programs without prodgen: StableHLO, PyTorch, ONNX, and their check."""
