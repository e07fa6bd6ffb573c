"""Files of boxes and tubes: this program's own, and those of other detectors."""
