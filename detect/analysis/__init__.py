"""Looking into networks: what they cost, what their filters hold, what their layers make of videos."""
