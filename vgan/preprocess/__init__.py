"""Footage to clips: find the videos, cut them into shots, stabilise, cut into windows, write shards and manifest."""
