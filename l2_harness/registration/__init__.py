"""How a stock lm-eval finds this project's model classes.

lm-eval 0.5 reads the entry points in pyproject.toml. lm-eval 0.4.x reads none, so the wheel also
carries ``l2_harness_bridge.pth``. Python's ``site`` runs its one line at every interpreter start:
it puts an import hook in place (:mod:`~l2_harness.registration.bridge`) that waits for
``lm_eval.models`` and then adds our names to lm-eval's registry
(:mod:`~l2_harness.registration.names`). A non-empty environment variable
``L2_HARNESS_NO_BRIDGE`` switches it off.

Where ``site`` does not run (``python -S``, a zip application, a folder on ``PYTHONPATH``),
:func:`register` does the same by hand.

This module and ``bridge`` are imported at every interpreter start: they import nothing else.
"""


def register() -> tuple[str, ...]:
    """Make lm-eval know this project's models and filters, in this process.

    Safe to call at any time and more than once. A name that lm-eval knows already stays what it
    is, as with its own entry points.

    Returns:
        The names that were added: none of them where all were known.

    Raises:
        ImportError: lm-eval is not installed, or is older than 0.4.13.
    """
    # Names that are registered before this import hide every built-in model.
    import lm_eval.models  # noqa: F401

    from l2_harness.registration.names import add_names

    return add_names()
