"""Training: configuration, sources of stacks, batches, loop."""
