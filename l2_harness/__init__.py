"""lm-evaluation-harness with the norms of a model's hidden states: recorded, tested, used.

Importing the package imports nothing else: every Python start in the environment does it
(see :mod:`l2_harness.registration`).
"""

__version__ = "0.2.0"
