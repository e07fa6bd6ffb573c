"""Linking boxes to tubes: frame by frame, by best paths, and online for the actors of a stream."""
