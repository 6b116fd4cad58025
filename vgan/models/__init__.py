"""Networks only: what maps noise to video, video to a verdict, and both to files."""
