"""The one exception that a user is meant to read.

Raise it with a full sentence: what was expected, what came, what to do. `cli.py` catches it, prints the sentence on
one line and exits with 2; everything else is a bug and keeps its traceback.
"""

__all__ = ["VganError"]


class VganError(Exception):
    """Something the user can mend; the message says how."""
