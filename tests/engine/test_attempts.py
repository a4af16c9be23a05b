"""Deaths of a process in a trial are counted over several runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdbench.engine.attempts import attempt, deaths, forget
from kdbench.results.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path)
    found.open()
    return found


LEFT_OPEN = []
"""Blocks that nobody leaves, as when the process dies."""


def die(store: Store, trial: str = "t", epochs: int = 0) -> None:
    """A process dies in a trial, after some epochs."""
    block = attempt(store, [trial], ())
    block.__enter__()
    LEFT_OPEN.append(block)
    for _ in range(epochs):
        path = store.checkpoint_path(trial)
        path.write_bytes(b"x" * (path.stat().st_size + 1 if path.exists() else 1))


def test_deaths_at_the_same_place_add_up(store: Store) -> None:
    for count in range(4):
        assert deaths(store, "t") == count
        die(store)


def test_an_epoch_in_between_begins_the_count_anew(store: Store) -> None:
    for _ in range(5):
        die(store, epochs=1)
        assert deaths(store, "t") == 1
    die(store)
    assert deaths(store, "t") == 2


def test_an_attempt_that_ends_leaves_nothing(store: Store) -> None:
    with attempt(store, ["t"], ()):
        assert deaths(store, "t") == 1
    assert not list((store.root / "checkpoints").iterdir())


def test_an_attempt_that_is_stopped_keeps_the_count_but_adds_nothing(store: Store) -> None:
    die(store)
    with pytest.raises(KeyboardInterrupt), attempt(store, ["t"], ()):
        raise KeyboardInterrupt
    assert deaths(store, "t") == 1
    die(store)
    assert deaths(store, "t") == 2


def test_a_trial_that_has_ended_is_forgotten(store: Store) -> None:
    die(store)
    with attempt(store, ["t"], ["t"]):
        pass
    assert deaths(store, "t") == 0
    die(store)
    forget(store, "t")
    assert not list((store.root / "checkpoints").iterdir())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 9}', b'{"deaths": "x"}'])
def test_a_damaged_file_counts_nothing(store: Store, content: bytes) -> None:
    (store.root / "checkpoints" / "t.attempt.json").write_bytes(content)
    assert deaths(store, "t") == 0
    die(store)
    assert deaths(store, "t") == 1
