"""Looking into networks: what they cost, and what their filters hold."""
