"""Video classification: sets of labelled videos, clips of them, training and testing of the networks."""
