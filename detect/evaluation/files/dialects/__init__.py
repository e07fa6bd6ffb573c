"""Files of detections as other systems write them, a module for each form."""
