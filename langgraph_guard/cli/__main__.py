"""`python -m langgraph_guard.cli`, where the script is not on the path."""

import sys

from langgraph_guard.cli import main

sys.exit(main())
