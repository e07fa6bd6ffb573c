"""The detector as a file that other engines run: graphs of its parts, ONNX and torch.export, int8, and their use."""
