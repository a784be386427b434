"""The ``l2-harness`` command.

A subcommand is one module here, named like it, that holds either ``app`` (a ``typer.Typer`` with
subcommands of its own) or ``command`` (a function); :mod:`l2_harness.cli.app` lists them. A
module imports what is heavy (torch, lm_eval, sae_lens, matplotlib, pandas) inside its functions,
so that ``--help`` answers at once.
"""

from __future__ import annotations

import atexit
import gc
import sys

#: New objects between two searches for cycles among them: of Python's 700, which suits programs
#: that make cycles all the time, a tenth of a short command's time goes by.
_OBJECTS = 1_000_000
#: Status after Ctrl-C, as shells have it.
_CTRL_C = 130


def main() -> None:
    """Run the command line: 0 on success, 2 with one line on stderr for what a user can mend.

    130 with one line after Ctrl-C.
    """
    from l2_harness.cli.interrupted import Interrupted
    from l2_harness.cli.one_line import print_what_can_be, show_warnings, tell

    show_warnings()
    print_what_can_be()
    gc.set_threshold(_OBJECTS)
    # or Python looks through all that is left, several times, only to end: a sixth of the time
    atexit.register(gc.freeze)
    try:
        from l2_harness.cli.app import app
        from l2_harness.config.errors import ConfigError, NumbersError

        try:
            app()
        except SystemExit as end:
            if end.code == _CTRL_C:  # while Typer read the command line
                raise Interrupted from None
            raise
        except (ConfigError, NumbersError, OSError) as error:
            tell(f"error: {error}")
            sys.exit(2)
        except MemoryError as error:
            tell(f"error: the memory is not enough for this: {error}")
            sys.exit(2)
    except (KeyboardInterrupt, Interrupted):
        tell(str(Interrupted()))
        sys.exit(_CTRL_C)
