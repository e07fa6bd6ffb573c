"""Boxes to tubes: frame by frame, by best paths, and the actors of a video that is watched."""
