"""What a user of the ``lm_eval`` command is to see.

lm-eval shows its own logger's lines alone, and warnings; so such a line goes to a child of it.
"""

from __future__ import annotations

import logging

terminal_log = logging.getLogger("lm_eval.l2_harness")
