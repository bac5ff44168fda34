"""`python -m thermosearch`: the command line where the console script is not on the path."""

import sys

from thermosearch.cli import main

sys.exit(main())
