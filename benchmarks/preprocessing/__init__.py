"""What benchmarks/preprocess.py stands on: footage with a known shake, and the paper's procedure."""
