"""The clip store: shards of uncompressed clips, the manifest that lists them, and batches read from both."""
