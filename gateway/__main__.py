"""`python -m gateway` is the `modelgate` command."""

from gateway.cli import main

main()
