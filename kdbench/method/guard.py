"""The guard through which every call of a plugin's code passes.

It turns whatever a plugin raises into one error that names the plugin and the call, restores the settings of
the process that the plugin changed (see :mod:`kdbench.method.ambient`), and notes the threads that still run.
"""

from __future__ import annotations

import dis
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Literal

from kdbench.errors import KdbenchError, PluginError, StoreError, SuiteError, cut
from kdbench.method import ambient
from kdbench.method.setting import Setting

LONGEST = 400
"""Characters of an exception's text that are kept."""
LONGEST_SENTENCE = 1600
"""The same of kdbench's own."""
LONGEST_TRACEBACK = 20_000


class PluginFailed(PluginError):
    """A plugin's code raised something, or left the process in another state.

    Args:
        message: a sentence that names the plugin, and what was called.
        kind: class of what it raised.
    """

    def __init__(self, message: str, kind: str = "PluginFailed") -> None:
        super().__init__(message)
        self.kind = kind


class SettingsChanged(PluginFailed):
    """A plugin left settings changed that other plugins' numbers depend on."""


class Guard:
    """Calls plugins.

    Args:
        warn: receives sentences about what a plugin did that costs it nothing; each is said once.
    """

    def __init__(self, warn: Callable[[str], None] = lambda message: None) -> None:
        self._warn = warn
        self._warned: set[str] = set()
        self.current = ""
        """The call in progress, readable from other threads; empty between calls."""
        self.threads: dict[str, list[threading.Thread]] = {}
        """Threads that plugins left running."""

    def calling(self, plugin: str, what: str, *, passing: tuple[type[Exception], ...] = ()) -> Call:
        """Guard a block that calls a plugin.

        Args:
            plugin: its kind and name, such as ``method "kd"``.
            what: what is called, such as ``loss(step)``.
            passing: exceptions that the caller handles itself.

        Raises:
            PluginFailed: the block raised something other than a :class:`KdbenchError`, or changed a setting
                that other plugins' numbers depend on. A ``KeyboardInterrupt`` of the user passes through.
        """
        return Call(self, plugin, what, passing)

    def suspects(self) -> set[str]:
        """Plugins whose threads are running between their calls."""
        return {plugin for plugin, threads in self.threads.items() if any(t.is_alive() for t in threads)}

    def warn(self, message: str) -> None:
        """Say something once."""
        if message not in self._warned:
            self._warned.add(message)
            self._warn(message)


class Call:
    """One call of a plugin; made by :meth:`Guard.calling`."""

    __slots__ = ("_before", "_guard", "_outer", "_passing", "_plugin", "_threads", "_what")

    def __init__(self, guard: Guard, plugin: str, what: str, passing: tuple[type[Exception], ...]) -> None:
        self._guard, self._plugin, self._what, self._passing = guard, plugin, what, passing

    def __enter__(self) -> None:
        self._outer, self._guard.current = self._guard.current, f"{self._plugin}: {self._what}"
        self._threads = threading.active_count()
        self._before = ambient.read()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        changed = ambient.restore(self._before)
        self._guard.current = self._outer
        if threading.active_count() > self._threads:
            self._note_threads()
        if error is not None:
            if isinstance(error, self._passing) or is_users_interrupt(error) or _is_sentence(error):
                return False
            text = text_of(error)
            said = f"{name_of(error)}: {text}" if text else name_of(error)
            raise PluginFailed(f"{self._plugin} failed in {self._what}: {said}", name_of(error)) from error
        if changed:
            self._judge(changed)
        return False

    def _judge(self, changed: list[Setting]) -> None:
        decisive = any(s.decides_numbers for s in changed)
        names = ", ".join(dict.fromkeys(s.name for s in changed if s.decides_numbers or not decisive))
        if decisive:
            raise SettingsChanged(
                f"{self._plugin} left {names} changed after {self._what}, on which other plugins' numbers depend: change it in a"
                " context manager, or put it back"
            )
        self._guard.warn(f"{self._plugin} changed {names} in {self._what}, which was put back")

    def _note_threads(self) -> None:
        known = {id(t) for threads in self._guard.threads.values() for t in threads}
        main = threading.main_thread()
        found = [t for t in threading.enumerate() if t is not main and id(t) not in known]
        left = found[-(threading.active_count() - self._threads) :]
        self._guard.threads.setdefault(self._plugin, []).extend(left)


def text_of(error: BaseException, most: int = LONGEST) -> str:
    """Return the first line of an exception's text, printable and not too long.

    It is empty if there is no text, or reading it fails.
    """
    try:
        text = str.__str__(str(error))
    except BaseException as failure:
        if is_users_interrupt(failure):
            raise
        return ""
    line = text[: 10 * most].strip().partition("\n")[0]
    return cut("".join(c if c.isprintable() else "?" for c in line), most)


def cause_of(failure: KdbenchError) -> str:
    """Return what a plugin raised, as ``ValueError: text``, or else the message."""
    error = failure.__cause__
    return f"{name_of(error)}: {text_of(error)}" if isinstance(failure, PluginFailed) and error else failure.message


def name_of(error: BaseException) -> str:
    """Name of an exception's class, of bounded length."""
    return cut("".join(c if c.isprintable() else "?" for c in type.__dict__["__name__"].__get__(type(error))[:200]), 80)


def trace_of(error: BaseException) -> str:
    """An exception with its traceback, of bounded length."""
    try:
        lines = traceback.format_exception(type(error), error, error.__traceback__, limit=50)
        text = "".join(str.__str__(line[:LONGEST_TRACEBACK]) for line in lines)
    except BaseException as failure:
        if is_users_interrupt(failure):
            raise
        text = (
            "Traceback (most recent call last):\n"
            + "".join(traceback.format_tb(error.__traceback__, limit=50))
            + name_of(error)
        )
    text = text.encode("utf-8", "replace").decode()
    half = LONGEST_TRACEBACK // 2
    return text if len(text) <= 2 * half else f"{text[:half]}\n[…]\n{text[-half:]}"


def described(value: object) -> str:
    """Describe an unexpected value by its type, and a tensor by its shape."""
    if isinstance(value, type):
        return f"the class {cut(value.__name__, 80)}"
    kind = cut(type(value).__name__, 80)
    torch = sys.modules.get("torch")  # a tensor exists only where torch was imported
    if torch is not None and isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return "None" if value is None else kind


def is_users_interrupt(error: BaseException) -> bool:
    """Whether an exception is the user's Ctrl-C, not a plugin's own ``raise``."""
    if not isinstance(error, KeyboardInterrupt):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return True
    code = trace.tb_frame.f_code
    if code is getattr(signal.getsignal(signal.SIGINT), "__code__", None):
        return True
    return code.co_code[trace.tb_lasti] != dis.opmap["RAISE_VARARGS"]


def _is_sentence(error: BaseException) -> bool:
    """Whether an exception is kdbench's own, with a message for people."""
    if not isinstance(error, KdbenchError) or isinstance(error, StoreError | SuiteError):
        return False  # a plugin stores nothing, and must not end a suite by saying so
    if not type(error).__module__.startswith("kdbench."):
        return False
    message = error.args[0] if error.args else ""
    return type(message) is str and len(message) <= LONGEST_SENTENCE and "\n" not in message.strip()
