"""The scripts of this folder import one another by name, and the tests import them too."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
