"""Spatio-temporal action detection: a 2D keyframe proposer and a 3D context network, trained jointly."""

__version__ = "0.1.0"
