"""``python -m evoconv``."""

import sys

from evoconv.cli import main

sys.exit(main())
