"""Checkpoints to numbers: how far generated clips are from real ones, how varied they are and how much they move."""
