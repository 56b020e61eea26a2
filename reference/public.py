"""What is public: names of these modules that do not begin with an underscore. All else may change without notice."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

MODULES = (
    "flexiai",
    "flexiai.client",
    "flexiai.blocking",
    "flexiai.types",
    "flexiai.errors",
    "flexiai.chat",
    "flexiai.events",
    "flexiai.status",
    "flexiai.providers.base",
    "flexiai.tracing",
    "flexiai.logs",
    "flexiai.app",
    "harness.pytest_plugin",
    "harness.trial",
    "harness.strategies",
)
"""Those that have a page."""

CHOSEN = {
    "flexiai.client": ("AsyncChat", "AsyncCompletions"),
    "flexiai.blocking": ("Chat", "Completions"),
    "flexiai.status": ("ClientStatus", "ProviderStatus"),
    "flexiai.logs": ("JsonFormatter",),
    "harness.pytest_plugin": ("Trials", "scenario"),
    "harness.trial": ("Trial",),
}
"""Of modules whose other names are not for users, or have their page elsewhere."""


GIVEN = frozenset(
    {"AsyncChat", "AsyncCompletions", "BlockingChatStream", "Chat", "ChatStream", "Completions", "Trial", "Trials"}
)
"""Classes that users get, and never make."""


CALLED = frozenset({"Trials.__call__"})
"""What is used without its name."""


def names_of(module: ModuleType) -> tuple[str, ...]:
    """The public names of a module: those chosen, its `__all__`, or the classes and functions that are its own."""
    told = CHOSEN.get(module.__name__) or getattr(module, "__all__", None)
    return tuple(told) if told is not None else tuple(name for name, _ in inspect.getmembers(module, _own(module)))


def parts() -> Iterator[tuple[str, Any]]:
    """Every public class, function, method and property, by its full name."""
    for name in MODULES:
        module = importlib.import_module(name)
        for part in names_of(module):
            yield from _with_members(f"{name}.{part}", getattr(module, part))


def is_public(qualname: str) -> bool:
    """Whether a member of a public class (`Class.member`) is public."""
    return qualname in CALLED or not qualname.rpartition(".")[2].startswith(("_", "pytest_"))


def _own(module: ModuleType) -> Callable[[Any], bool]:
    def own(part: Any) -> bool:
        is_code = isinstance(part, type | FunctionType)
        return is_code and part.__module__ == module.__name__ and not part.__name__.startswith("_")

    return own


def _with_members(name: str, part: Any) -> Iterator[tuple[str, Any]]:
    yield name, part
    if isinstance(part, type):
        for member, value in vars(part).items():
            if is_public(f"{part.__name__}.{member}") and isinstance(
                value, FunctionType | property | classmethod | staticmethod
            ):
                yield f"{name}.{member}", value
