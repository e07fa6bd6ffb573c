"""The detector and its registered components."""

__all__ = ["ActionRCNN", "build_model", "fold_for_inference", "inference_copy"]


def __getattr__(name: str):
    if name in __all__:  # loaded when asked for: what looks at a stream with an exported detector needs no network
        from detect.modeling import build

        return getattr(build, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
