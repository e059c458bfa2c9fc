"""`python -m lab`: see docs/lab.md."""

import sys

from lab.cli import main

sys.exit(main())
