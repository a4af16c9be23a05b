"""Registry of everything that plugins provide, and notification of events."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from kdbench.errors import KdbenchError, Location, PluginError, cut, did_you_mean
from kdbench.method.guard import Guard, PluginFailed

if TYPE_CHECKING:
    from kdbench.method import Method

T = TypeVar("T")
LONGEST_NAME = 100


@dataclass(frozen=True)
class Registry:
    """Everything that plugins provide, by name.

    The hook of each kind is called when that kind is first used.

    Args:
        manager: the pluggy manager.
    """

    manager: pluggy.PluginManager

    @property
    def hook(self) -> pluggy.HookRelay:
        """The hooks themselves; use :meth:`notify` for events."""
        return self.manager.hook

    @cached_property
    def methods(self) -> Mapping[str, type[Method]]:
        """Method classes by name."""
        from kdbench.method import Method

        return self._classes("kdbench_methods", "method", "Method", Method)

    @cached_property
    def models(self) -> Mapping[str, Callable[..., Any]]:
        """Model factories by name, without timm's own models."""
        return self._mapping("kdbench_models", "model")

    @cached_property
    def datasets(self) -> Mapping[str, type[Any]]:
        """Data set classes by name."""
        return self._classes("kdbench_datasets", "data set", "Dataset")

    @cached_property
    def tasks(self) -> Mapping[str, type[Any]]:
        """Task classes by name."""
        return self._classes("kdbench_tasks", "task", "Task")

    @cached_property
    def metrics(self) -> Mapping[str, Callable[..., float]]:
        """Extra metrics by name."""
        return self._mapping("kdbench_metrics", "metric")

    @cached_property
    def executors(self) -> Mapping[str, Any]:
        """Executors by name."""
        return self._mapping("kdbench_executors", "executor")

    @cached_property
    def reporters(self) -> Mapping[str, Callable[..., list[Any]]]:
        """Report formats by name."""
        return self._mapping("kdbench_reporters", "report format")

    def check(self) -> None:
        """Call every providing hook once, so that plugin errors appear before training.

        This also computes the digests of the methods' sources, because a file that is edited during a run is
        not what runs.

        Raises:
            PluginError: a hook raises, provides the wrong kind of object, or claims a name that is taken.
        """
        for kind in ("models", "datasets", "tasks", "metrics", "executors", "reporters"):
            getattr(self, kind)
        for method in self.methods.values():
            with Guard().calling(f'method "{method.name}"', "source_digest()"):
                method.source_digest()

    def find(self, kind: str, table: Mapping[str, T], name: str, location: Location | None = None) -> T:
        """Look up a name, or raise :class:`PluginError` that suggests a similar one."""
        if name not in table:
            hint = did_you_mean(name, table) or f"; known are {', '.join(sorted(table))}"
            raise PluginError(f'unknown {kind} "{name}"{hint}', location)
        return table[name]

    def notify(self, event: str, warn: Callable[[str], None], **arguments: Any) -> None:
        """Notify every plugin of an event.

        A warning names a plugin that raises; the others are still notified.

        Args:
            event: name of the hook, such as ``kdbench_trial_started``.
            warn: shows a sentence to the user.
            **arguments: all arguments of the hook; each plugin gets those that it takes.
        """
        subject = f" of trial {arguments['trial'].id}" if "trial" in arguments else ""
        for impl in reversed(getattr(self.hook, event).get_hookimpls()):  # the last registered first, as pluggy calls them
            plugin = f"plugin {described(impl.plugin, impl.plugin_name)}"
            try:
                with Guard(warn).calling(plugin, f"{event}{subject}"):
                    impl.function(*(copy.deepcopy(arguments[name]) for name in impl.argnames))
            except KdbenchError as error:
                said = error.message
                warn(said if isinstance(error, PluginFailed) else f"{plugin} failed in {event}{subject}: {said}")

    def _classes(self, hook: str, noun: str, title: str, base: type = object) -> Mapping[str, type[Any]]:
        def items(given: Iterable[Any]) -> Iterable[tuple[str, Any]]:
            for cls in given:
                name = getattr(cls, "name", None)
                fits = inspect.isclass(cls) and issubclass(cls, base) and getattr(cls, "plugin_hook", hook) == hook
                if not fits or not isinstance(name, str):
                    raise PluginError(f"{hook} must return {title} classes with a name, not {text(cls)}")
                if not name.isprintable() or len(name) > LONGEST_NAME:
                    raise PluginError(f"{hook}: a name has at most {LONGEST_NAME} printable characters, unlike {text(name)}")
                yield name, cls

        return self._collect(hook, noun, items)

    def _mapping(self, hook: str, noun: str) -> Mapping[str, Any]:
        def items(given: Any) -> Iterable[tuple[str, Any]]:
            for name, value in dict(given).items():
                if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
                    raise PluginError(f"{hook} must return names of at most {LONGEST_NAME} characters, not {text(name)}")
                if not callable(value):
                    raise PluginError(f'{hook} must return functions, not {text(value)} for "{name}"')
                yield name, value

        return self._collect(hook, noun, items)

    def _collect(self, hook: str, noun: str, items: Callable[[Any], Iterable[tuple[str, Any]]]) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        owner: dict[str, str] = {}
        for impl in getattr(self.hook, hook).get_hookimpls():  # in the order of registration
            plugin = described(impl.plugin, impl.plugin_name)
            try:
                with Guard().calling(f"{plugin}:", f"its {hook} hook"):
                    given = list(items(impl.function() or ()))
            except PluginFailed:
                raise
            except PluginError as error:
                raise PluginError(f"{plugin}: {error.message}") from error
            for name, value in given:
                if name in owner and found[name] is not value:
                    raise PluginError(f'two plugins claim the {noun} "{name}": {owner[name]} and {plugin}; rename one of them')
                owner[name], found[name] = plugin, value
        return found


def described(plugin: Any, name: str | None) -> str:
    """Return the name of a plugin for messages, with its file."""
    file = getattr(plugin, "__file__", None)
    return name if name and (file is None or name == str(file)) else f"{name} ({file})"


def text(value: Any) -> str:
    """A stranger's value in a message."""
    try:
        return cut(repr(value), LONGEST_NAME)
    except Exception:
        return cut(type(value).__name__, LONGEST_NAME)
