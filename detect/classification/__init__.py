"""Action classification: video sets, clips of 64 frames, the classifier, its evaluation and scores."""
