"""vgan: learn how scenes move from unlabelled video (Vondrick et al., NIPS 2016, arXiv 1609.02612)."""

__version__ = "0.1.0"
