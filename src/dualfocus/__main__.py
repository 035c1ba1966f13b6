"""`python -m dualfocus` is the `dualfocus` command."""

import sys

from dualfocus.cli import main

sys.exit(main())
