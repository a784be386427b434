"""The import hook that waits for ``lm_eval.models``.

It runs at every interpreter start in its environment, so it is small and imports only what the
interpreter has loaded by then (``importlib.abc`` and ``importlib.util`` cost more than all of it).
It knows nothing of models: what to add to lm-eval is :mod:`l2_harness.registration.names`.
"""

import sys
from _thread import get_ident

TYPE_CHECKING = False  # `typing` is not loaded at interpreter start
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

#: Not ``lm_eval.api.registry``: names registered before this module hide all built-in ones.
TARGET = "lm_eval.models"


class BridgeFinder:
    """A meta-path finder that finds one module, through the finders behind it."""

    def __init__(self) -> None:
        self._searching: set[int] = set()

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """The spec of ``lm_eval.models`` with our loader around its own; None for all others."""
        if name == "lm_eval":
            from l2_harness.registration.one_line import errors_in_one_line

            errors_in_one_line()
        thread = get_ident()
        if name != TARGET or thread in self._searching:
            return None
        # Another hook may ask every finder too, this one included: don't answer it.
        self._searching.add(thread)
        try:
            spec = self._find_elsewhere(name, path, target)
        finally:
            self._searching.discard(thread)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = BridgeLoader(spec.loader, self)  # type: ignore[assignment]
        return spec

    def _find_elsewhere(
        self, name: str, path: "Sequence[str] | None", target: "ModuleType | None"
    ) -> "ModuleSpec | None":
        for finder in sys.meta_path:
            find_spec = None if finder is self else getattr(finder, "find_spec", None)
            spec = find_spec and find_spec(name, path, target)
            if spec is not None:
                return spec
        return None


class BridgeLoader:
    """Stands in for a module's loader until the module is there, then adds our names."""

    def __init__(self, loader: "Any", finder: BridgeFinder) -> None:
        self._loader = loader
        self._finder = finder

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._loader, name)

    def create_module(self, spec: "ModuleSpec") -> "ModuleType | None":
        """The module object that the real loader makes, or None for Python's default."""
        return self._loader.create_module(spec)

    def exec_module(self, module: "ModuleType") -> None:
        """Run the module as its own loader does, then leave no trace but the added names."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)

        from l2_harness.registration.names import add_names_where_needed

        add_names_where_needed()


def install() -> None:
    """Put the hook in front of the other finders, once, unless lm-eval's models are loaded."""
    if TARGET in sys.modules or any(isinstance(f, BridgeFinder) for f in sys.meta_path):
        return
    sys.meta_path.insert(0, BridgeFinder())
