"""What `python -m benchmarks.quality` compares presets on, and how it trains them in equal time."""
