"""lm-eval run in this process without its noise."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch


@contextmanager
def quiet() -> Iterator[None]:
    """Without the notices of lm-eval, transformers and datasets; their errors still show.

    lm-eval's progress bars stay: they are the only sign of life in a long run.
    """
    import datasets
    import lm_eval.evaluator
    import transformers

    lm_eval_logger = logging.getLogger("lm_eval")
    level = lm_eval_logger.level
    verbosity = transformers.logging.get_verbosity()
    lm_eval_logger.setLevel(logging.ERROR)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(lm_eval|transformers|torch|datasets)\b")
            with ExitStack() as stack:
                if not _in_git_repository(Path.cwd()):
                    # lm-eval asks git all the same, which then prints `fatal: ...`.
                    name = "get_git_commit_hash"
                    stack.enter_context(patch.object(lm_eval.evaluator, name, lambda: None))
                yield
    finally:
        lm_eval_logger.setLevel(level)
        transformers.logging.set_verbosity(verbosity)
        transformers.logging.enable_progress_bar()
        datasets.enable_progress_bars()


def _in_git_repository(folder: Path) -> bool:
    return any((parent / ".git").exists() for parent in (folder, *folder.parents))
