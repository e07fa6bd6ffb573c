"""Spatio-temporal action detection: a 2D keyframe proposer and a 3D context network, trained jointly.

from detect import ActionDetector

detector = ActionDetector.load("model_final.pth")
for found in detector.detect("video.mp4"):
    print(found.frame, found.names, found.scores, found.boxes)
"""

__version__ = "0.2.0"
__all__ = ["ActionDetector", "FrameDetections", "VideoClassifier"]


def __getattr__(name: str):
    if name in __all__:  # loaded when asked for: they need torch, and `--help` does not
        from detect import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
