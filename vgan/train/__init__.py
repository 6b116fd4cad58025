"""Clips to a trained generator: losses, one step, the loop, checkpoints and what is written along the way."""
