"""`python -m brokerd.cli` is brokerctl."""

import sys

from brokerd.cli import main

sys.exit(main())
