"""Pictures for people: boxes on frames, grids, films."""
