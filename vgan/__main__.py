"""`python -m vgan` is `vgan`."""

from vgan.cli import main

main()
