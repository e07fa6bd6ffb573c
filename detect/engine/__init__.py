"""The training loop and what it needs: optimiser, checkpoints, metric writers, set-up. It knows no task."""
