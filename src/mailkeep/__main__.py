"""`python -m mailkeep` is `mailkeep`."""

from mailkeep.cli import main

main()
