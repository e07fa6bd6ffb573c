"""Frames of videos, and the transforms of clips."""
