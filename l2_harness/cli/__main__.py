"""``python -m l2_harness.cli``: the same as ``l2-harness``."""

from l2_harness.cli import main

main()
