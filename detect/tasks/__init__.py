"""What the tools run: one module for each, and one runner for the two that train."""
