"""What everything else stands on: errors, files, processes, memory. Nothing here knows of videos or networks."""
