"""Files of a runs folder and of a report folder, changed at random: no wrong number without a word.

Whatever is changed, a number that ``kdbench report`` shows is the true one, or is left out with a word on standard
error. Nothing in the folder that is read changes.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import kdbench
from kdbench.errors import KdbenchError
from tests.faults import base
from tests.faults.case import Case

COUNT = 1000
SECONDS = 30.0
TEXT = ("pair", "label", "method", "family", "role", "seed", "trial", "teachers", "point")
"""Columns of ``trials.csv`` that no damage may change."""
Spoil = Callable[[random.Random, Path], None]


def cases(rng: random.Random, count: int) -> Iterator[Case]:
    """Cases of all kinds in turn, each with a seed of its own."""
    kinds = [(where, name) for name in KINDS for where in ("runs", "report")]
    for i in range(count):
        where, name = kinds[i % len(kinds)]
        yield Case(f"{where}: {name}", partial(_inject, where, name, rng.randrange(2**32)), SECONDS)


def _inject(where: str, kind: str, seed: int, folder: Path) -> str:
    rng, original, copy = random.Random(seed), base.originals() / where, folder / where
    shutil.copytree(original, copy)
    KINDS[kind](rng, copy)
    before = base.state(copy)
    done = base.zygote().kdbench(["report", where, "--out", "out", "--format", "md,csv"], folder, timeout=SECONDS)
    problem = base.complaint(done) or ("the folder was changed" if base.state(copy) != before else "")
    if not problem and done.code == 0:
        problem = _wrong(folder / "out", done.err)
    return problem or (_loaded(copy) if seed % 4 == 0 else "")


COSTS = ("parameters", "macs", "size_mb", "activation_mb", "compression", "efficiency")


def _wrong(out: Path, said: str) -> str:
    """Which number is shown that is not the true one."""
    true, found = base.rows(base.originals() / "report"), base.rows(out)
    if set(true) != set(found):
        return "" if said else "rows are missing, and nothing was said"
    guarded = ["test_accuracy", "test_loss", "macro_f1", "agreement", *TEXT]  # by more than a digest
    names = guarded if "carry no digest" in said else list(next(iter(true.values())))
    for key, row in true.items():
        for name in names:
            was, shown = row.get(name, ""), found[key].get(name, "")
            if _same(was, shown) or (name in ("status", "error") and said):
                continue
            if shown or name in TEXT:
                return f"{name} is shown as {shown!r}, and was {was!r}"
            if not said and name not in COSTS:  # a profile that is gone is an empty cell, as where none was measured
                return f"{name} is left out, and nothing was said"
    return ""


def _same(a: str, b: str) -> bool:
    try:
        return a == b or math.isclose(float(a), float(b), rel_tol=1e-12)  # 3.0 beside a missing one; sums in another order
    except ValueError:
        return False


def _loaded(folder: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert kdbench.load_results(folder).frame is not None
        except KdbenchError:
            pass
        except Exception as error:
            return f"load_results: {type(error).__name__}: {error}"
    return ""


def _files(folder: Path) -> list[Path]:
    """What a report is made of."""
    names = ("record.json", "history.csv", "predictions.npz", "trial.json")
    inner = folder / "records" if (folder / "records").is_dir() else folder
    files = (p for p in sorted(inner.rglob("*")) if p.is_file() and not p.name.startswith("."))
    return [p for p in files if p.name in names or p.parent.name in ("records", "profiles", "latency", "suites")]


def _bits(rng: random.Random, folder: Path) -> None:
    path = rng.choice(_files(folder))
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 2, 8))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def _length(rng: random.Random, folder: Path) -> None:
    path = rng.choice(_files(folder))
    content = path.read_bytes()
    cut = content[: rng.randrange(len(content))]
    path.write_bytes(rng.choice((cut, b"", content + rng.randbytes(20), content + content, content[1:], content + b"\n")))


def _block(rng: random.Random, folder: Path) -> None:
    path = rng.choice(_files(folder))
    content = bytearray(path.read_bytes())
    at = rng.randrange(len(content))
    content[at : at + 64] = rng.choice((b"\0" * 64, rng.randbytes(64), b" " * 64, content[:64]))
    path.write_bytes(content)


def _odd(rng: random.Random, value: Any) -> Any:
    if isinstance(value, float | int) and rng.random() < 0.6:
        return rng.choice((value + 1, value * 1.01, -value - 1, 0, 1e308, 10**30, 0.95))
    return rng.choice(
        (None, True, -1, 0.5, "x", "", [], {}, [1], float("nan"), float("inf"), "../x", "\u202e=1+1\x1b[31m", "9" * 5000)
    )


def _json(folder: Path, rng: random.Random) -> Path:
    return rng.choice([p for p in _files(folder) if p.suffix == ".json"])


def _value(rng: random.Random, folder: Path) -> None:
    path = _json(folder, rng)
    content = json.loads(path.read_text())
    owner, key = rng.choice(base.leaves(content))
    owner[key] = _odd(rng, owner[key])
    path.write_text(json.dumps(content))


def _key(rng: random.Random, folder: Path) -> None:
    path = _json(folder, rng)
    content = json.loads(path.read_text())
    owner, key = rng.choice(base.leaves(content))
    if rng.random() < 0.5:
        del owner[key]
    elif isinstance(owner, dict):
        owner[f"{key}{rng.choice('_ 0')}"] = owner[key]
    else:
        owner.append(owner[key])
    path.write_text(json.dumps(content))


def _number(rng: random.Random, folder: Path) -> None:
    """As by hand: one number in a text file becomes another."""
    path = rng.choice([p for p in _files(folder) if p.suffix in (".json", ".csv")])
    text = path.read_text()
    digits = [i for i, c in enumerate(text) if c.isdigit()]
    at = rng.choice(digits)
    path.write_text(text[:at] + str((int(text[at]) + rng.randrange(1, 10)) % 10) + text[at + 1 :])


def _swapped(rng: random.Random, folder: Path) -> None:
    files = _files(folder)
    one = rng.choice(files)
    same = [p for p in files if p != one and p.suffix == one.suffix and p.name == one.name]
    other = rng.choice(same or [p for p in files if p != one])
    a, b = one.read_bytes(), other.read_bytes()
    one.write_bytes(b)
    if rng.random() < 0.7:
        other.write_bytes(a)


def _folders(rng: random.Random, folder: Path) -> None:
    """Two trials change places, or one file or folder is gone."""
    trials = sorted((folder / "trials").glob("*")) if (folder / "trials").is_dir() else []
    if len(trials) > 1 and rng.random() < 0.5:
        a, b = rng.sample(trials, 2)
        a.rename(folder / "x")
        b.rename(a)
        (folder / "x").rename(b)
        return
    rng.choice(_files(folder)).unlink()


def _other_kind(rng: random.Random, folder: Path) -> None:
    path = rng.choice(_files(folder))
    content = path.read_bytes()
    path.unlink()
    if rng.random() < 0.5:
        path.mkdir()
    else:
        (folder.parent / "elsewhere").write_bytes(content)
        path.symlink_to(folder.parent / "elsewhere")


def _forged(rng: random.Random, folder: Path) -> None:
    """A metric of the test set is changed, and the digest fits."""
    wrong = rng.choice((0.95, 1.0, 0.0, 0.5))
    if (folder / "records").is_dir():
        path = folder / "records" / "records.json"
        content = json.loads(path.read_text())
        rng.choice(list(content.values()))["metrics"]["test"]["accuracy"] = wrong
        path.write_text(json.dumps(content))
        (folder / "records" / "digests.json").unlink()
        return
    path = rng.choice(sorted(folder.glob("trials/*/record.json")))
    content = json.loads(path.read_text())
    content["metrics"]["test"]["accuracy"] = wrong
    base.rewrite(path, content)


def _unsealed(rng: random.Random, folder: Path) -> None:
    """The digests are left out, as older versions of kdbench did, and a number is another."""
    for path in folder.rglob("*.json"):
        if path.name == "digests.json":
            path.unlink()
        elif isinstance(content := json.loads(path.read_text()), dict) and "digest" in content:
            base.rewrite(path, content, sealed=False)
    rng.choice((_value, _number))(rng, folder)


KINDS: dict[str, Spoil] = {
    "bits": _bits,
    "length": _length,
    "a block": _block,
    "a JSON value": _value,
    "a JSON key": _key,
    "a digit": _number,
    "files change places": _swapped,
    "folders change places, files are gone": _folders,
    "a folder or a link instead of a file": _other_kind,
    "a forged metric": _forged,
    "no digests, and a value": _unsealed,
}
