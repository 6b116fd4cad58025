"""Ours against a reference, in one run on one machine: `python -m benchmarks.NAME [--quick]`.

The last line is one JSON object: figure → {ours, reference, ratio, unit}; a ratio above 1 means ours is better.
"""
