"""A stranger's runs or report folder, made to do harm to whoever reads it.

Each is read by ``report``, ``compare``, ``merge`` or ``load_results``. Nothing outside it is touched, nothing in it
changes, and no command takes more than 30 s and 1 GB.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import socket
import warnings
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import kdbench
from kdbench.errors import KdbenchError
from tests.faults import base
from tests.faults.case import Case

COUNT = 500
SECONDS = 30.0
VICTIM = "victim"
"""A folder beside the hostile one, with what nobody may touch."""
WAYS = ("report", "report in the folder", "compare", "merge", "load_results")
Spoil = Callable[[random.Random, Path], None]
ESCAPES = (
    "\x1b[31mred\x1b]0;title\x07",
    "\u202egnp.exe",
    "=HYPERLINK(1)",
    "@SUM(1)",
    "a\0b",
    "x" * 1_000_000,
    "\u200b",
    "\r\n# x",
)


def cases(rng: random.Random, count: int) -> Iterator[Case]:
    """Cases of all kinds and ways in turn, each with a seed of its own."""
    kinds = list(KINDS)
    rng.shuffle(kinds)
    for i in range(count):
        kind, way = kinds[i % len(kinds)], rng.choice(WAYS)
        yield Case(kind, partial(_inject, kind, way, rng.randrange(2**32)), SECONDS)


def _inject(kind: str, way: str, seed: int, folder: Path) -> str:
    rng = random.Random(seed)
    where = "report" if kind.startswith("report") else "runs"
    shutil.copytree(base.originals() / where, folder / where)
    shutil.copytree(base.originals() / "runs", folder / VICTIM)
    KINDS[kind](rng, folder / where)
    before, outside = base.state(folder / where), base.state(folder / VICTIM)
    problem = _read(way, where, folder)
    if base.state(folder / VICTIM) != outside:
        problem = problem or "something outside was touched"
    if way != "report in the folder" and base.state(folder / where) != before:
        problem = problem or "the folder was changed"
    strange = {p.name for p in folder.iterdir()} - {where, VICTIM, "out", "into"}
    return f"{way}: {problem}" if problem else f"{way}: {strange} appeared" if strange else ""


def _read(way: str, where: str, folder: Path) -> str:
    commands = {
        "report": ["report", where, "--out", "out", "--format", "md,csv,json,html"],
        "report in the folder": ["report", where],
        "compare": ["compare", where, VICTIM],
        "merge": ["merge", where, VICTIM, "--into", "into"],
    }
    if way in commands:
        done = base.zygote().kdbench(commands[way], folder, timeout=SECONDS, memory_mb=8000)
        return base.complaint(done) or _cells(folder / "out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert kdbench.load_results(folder / where).standings is not None
        except KdbenchError:
            pass
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return ""


def _cells(out: Path) -> str:
    """Whether a page holds control characters, or a table a formula."""
    for path in (*out.glob("*.md"), *out.glob("*.html"), *out.glob("*.csv")):
        text = path.read_text(encoding="utf-8")
        if unusual := {c for c in text if not c.isprintable() and c not in "\n\t\u00a0\u2009"}:
            return f"{path.name} holds {unusual!r}"
        cells = text.replace("\n", ",").split(",") if path.suffix == ".csv" else ()
        if formulas := [c for c in cells if c.strip('"')[:1] in tuple("=+@")]:
            return f"{path.name} holds the formula {formulas[0][:40]}"
    return ""


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


def _plan(folder: Path) -> Path:
    return next(p for p in (folder / "suites" / f"{base.SUITE}.json", folder / "records" / "plan.json") if p.exists())


def _put(path: Path, content: Any) -> None:
    """Write JSON with digests that fit."""
    if path.parent.name == "records":
        path.write_text(json.dumps(content))
        _reseal(path.parent)
    else:
        base.rewrite(path, content)


def _reseal(records: Path) -> None:
    from kdbench.results.seal import file_digest

    files = {p.name: file_digest(p.read_bytes()) for p in records.iterdir() if p.name != "digests.json" and p.is_file()}
    (records / "digests.json").write_text(json.dumps({"version": 1, "files": files}))


def _trial(rng: random.Random, folder: Path) -> Path:
    return rng.choice(sorted((folder / "trials").iterdir()))


def _companion(rng: random.Random, folder: Path, name: str, content: bytes) -> None:
    """Put a file beside a record, which knows its digest; or into a report."""
    import hashlib

    if (folder / "records").is_dir():
        (folder / "records" / name).write_bytes(content)
        _reseal(folder / "records")
        return
    trial = _trial(rng, folder)
    (trial / name).write_bytes(content)
    record = _json(trial / "record.json")
    record["files"][name] = hashlib.sha256(content).hexdigest()
    base.rewrite(trial / "record.json", record)


def _bad_path(rng: random.Random, folder: Path) -> str:
    victim = folder.parent / VICTIM
    return rng.choice(
        ("../../victim", str(victim), "../victim/suites", f"{victim}/trials", "..", ".", "/dev/zero", "C:\\x", "a/b", "")
    )


def _trial_key(rng: random.Random, folder: Path) -> None:
    path = _plan(folder)
    plan = _json(path)
    old = rng.choice(list(plan["trials"]))
    new = _bad_path(rng, folder)
    if rng.random() < 0.5:
        plan["trials"][new] = plan["trials"].pop(old)
    else:
        plan["trials"][new] = plan["trials"][old]
    if rng.random() < 0.5:
        plan = json.loads(json.dumps(plan).replace(f'"{old}"', json.dumps(new)))
    _put(path, plan)


def _suite_name(rng: random.Random, folder: Path) -> None:
    path = _plan(folder)
    name = rng.choice((_bad_path(rng, folder), *ESCAPES, "other"))
    _put(path, {**_json(path), "suite": name})


def _named_path(rng: random.Random, folder: Path) -> None:
    trial = _trial(rng, folder)
    record = _json(trial / "record.json")
    key = rng.choice(("profile", "files", "fingerprint", "teachers"))
    bad = _bad_path(rng, folder)
    if key == "profile":
        record["profile"] = bad
    elif key == "files":
        record["files"][bad] = "0" * 64
    elif key == "fingerprint":
        record["data"]["fingerprint"] = bad
    else:
        record["trial"]["teachers"] = [bad]
    base.rewrite(trial / "record.json", record)


def _some_path(rng: random.Random, folder: Path) -> Path:
    paths = [p for p in sorted(folder.rglob("*")) if not p.name.startswith(".") and p.name != "checkpoints"]
    return rng.choice(paths)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _link(rng: random.Random, folder: Path) -> None:
    for _ in range(rng.choice((1, 1, 3))):
        path = _some_path(rng, folder)
        inside = path.relative_to(folder)
        _remove(path)
        victim = folder.parent / VICTIM
        target = rng.choice(
            (victim / inside, victim, Path(".."), path, Path("/dev/zero"), Path("/etc/passwd"), Path("/nowhere"))
        )
        path.symlink_to(target)


def _output_link(rng: random.Random, folder: Path) -> None:
    """What ``report`` writes into the folder itself leads elsewhere."""
    victim = folder.parent / VICTIM
    if folder.name == "report":
        name = rng.choice(
            ("leaderboard.md", "trials.csv", "records/records.json", "figures", "epochs.md", "records/digests.json")
        )
        path = folder / name
    else:
        path = folder / rng.choice(("reports", "reports/made", "reports/made/leaderboard.md", "reports/made/records"))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        _remove(path)
    target = victim if path.suffix == "" else victim / "suites" / "made.json"
    os.link(target, path) if target.is_file() and rng.random() < 0.3 else path.symlink_to(target)


def _special(rng: random.Random, folder: Path) -> None:
    path = _some_path(rng, folder)
    _remove(path)
    kind = rng.randrange(4)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        here = Path.cwd()
        try:
            os.chdir(path.parent)  # the name of a socket must be short
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(path.name)
        finally:
            os.chdir(here)
    elif kind == 2:
        path.mkdir()
    else:
        path.write_bytes(b"")


def _large(rng: random.Random, folder: Path) -> None:
    """A sparse file of half a gigabyte and more."""
    path = rng.choice([p for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix in (".json", ".csv", ".npz")])
    with path.open("r+b") as file:
        file.truncate(rng.choice((500_000_000, 5_000_000_000, 300_000_000)))


def _much_json(rng: random.Random, folder: Path) -> None:
    files = [p for p in sorted(folder.rglob("*.json")) if "pytest" not in p.name]
    size = rng.choice((1_000, 15_000_000, 60_000_000))
    text = rng.choice(
        (
            "[" * size,
            '{"a":' * (size // 5),
            "[" + "[]," * (size // 3) + "[]]",
            '{"trials": {' + ",".join(f'"{i:016x}": {{}}' for i in range(size // 30)) + '}, "entries": [], "cohorts": [], "suite": "made", "version": 2}',
            '{"suite": "made", "version": 2, "trials": {}, "cohorts": [], "entries": [' + "{}," * (size // 3) + "{}]}",
            '"' + "\U0001f600" * (size // 4) + '"',
            "9" * size,
            "{" + ",".join(f'"{i}": 1' for i in range(size // 12)) + "}",
        )
    )  # fmt: skip
    rng.choice(files).write_text(text)


def _npz(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def _array(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, array, allow_pickle=True)
    return content.getvalue()


def _header(shape: str, dtype: str = "<f4") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _arrays(rng: random.Random, folder: Path) -> None:
    n, c = base.SAMPLES, base.CLASSES
    logits, targets = _array(np.zeros((n, c), np.float32)), _array(np.zeros(n, np.int64))
    large = rng.choice((10**8, 2 * 10**8))
    odd: list[Callable[[], bytes]] = [
        lambda: _npz({"logits.npy": _header(f"({large // 4}, 4)") + bytes(large), "targets.npy": targets}),
        lambda: _npz({"logits.npy": logits, "targets.npy": _array(np.array([{}] * n, dtype=object))}),
        lambda: _npz({"logits.npy": _header("(1000000000000, 4)"), "targets.npy": targets}),
        lambda: _npz({"logits.npy": _header("(-1, 4)"), "targets.npy": targets}),
        lambda: _npz({"logits.npy": logits, "targets.npy": _array(np.full(n, 10**12))}),
        lambda: _npz({"logits.npy": logits, "targets.npy": _array(np.full(n, -1))}),
        lambda: _npz({"logits.npy": _array(np.full((n, c), np.nan, np.float32)), "targets.npy": targets}),
        lambda: _npz({"logits.npy": _array(np.full((n, c), 1e38, np.float32)), "targets.npy": targets}),
        lambda: _npz({"logits.npy": _array(np.zeros((n, c, 2))), "targets.npy": targets}),
        lambda: _npz({"logits.npy": _array(np.zeros((0, 0), np.float32)), "targets.npy": targets[:0] or _array(np.zeros(0))}),
        lambda: _npz({"logits.npy": _array(np.zeros((n, 0), np.float32)), "targets.npy": targets}),
        lambda: _npz({"logits.npy": b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "targets.npy": targets}),
        lambda: _npz({"../../victim/x.npy": logits, "logits": b"", "targets.npy": targets}),
        lambda: _npz({f"a{i}.npy": targets for i in range(20_000)}),
        lambda: b"PK\x05\x06" + bytes(18),
    ]
    trial = next(iter(_json(_plan(folder))["trials"]))
    if (folder / "records").is_dir():
        large_classes = _header(f"({large},)", "|u1") + bytes(large)
        odd += [
            lambda: _npz({f"classes/{trial}.npy": large_classes, f"confidences/{trial}.npy": large_classes}),
            lambda: _npz({"targets/x.npy": targets, f"classes/{trial}.npy": _array(np.zeros((n, 2), np.uint8))}),
            lambda: _npz({"odd/../x.npy": targets}),
        ]
    _companion(rng, folder, "predictions.npz", rng.choice(odd)())


def _table(rng: random.Random, folder: Path) -> None:
    first = "trial," if (folder / "records").is_dir() else ""
    cell = f"{next(iter(_json(_plan(folder))['trials']))}," if first else ""
    texts = (
        first + "epoch" + ",a" * 2_000_000 + "\n",
        first + "epoch,loss\n" + f"{cell}1,=1+1\n",
        first + "epoch,=loss\n" + f"{cell}1,1\n",
        first + "epoch,loss\n" + f"{cell}1,inf\n{cell}1,nan\n",
        first + "epoch,loss\n" + f"{cell}inf,1\n",
        first + "epoch,loss\n" + f"{cell}1e300,1\n",
        first + "epoch,loss,test_accuracy\n" + f"{cell}1,1e308,-1e308\n{cell}2,-1e308,1e308\n",
        first + "loss\n" + f"{cell}1\n",
        first + 'epoch,"a\nb"\n' + f"{cell}1,2\n",
        first + "epoch,loss\n" + f"{cell}1,2,3\n",
        first + "epoch,\x1b[31m\n" + f"{cell}1,2\n",
        first + "epoch,loss\n" + "".join(f"{cell}{i},2\n" for i in range(200_000)),
        "\x00" * 100,
        first + "epoch,loss\n" + f'{cell}1,"{"9" * 200_000}"\n',
    )
    _companion(rng, folder, "history.csv", rng.choice(texts).encode())


def _odd(rng: random.Random, folder: Path) -> Any:
    return rng.choice(
        (
            *(
                None,
                True,
                False,
                0,
                -1,
                10**30,
                10**400,
                -(10**30),
                1e308,
                -1e308,
                float("nan"),
                float("inf"),
                "NaN",
                "",
                [],
                {},
                [[]],
            ),
            *ESCAPES,
            _bad_path(rng, folder),
            {"a": {"b": 1}},
            list(range(100)),
            "2026",
            "\U0001f600" * 100,
        )
    )


def _odd_values(rng: random.Random, folder: Path) -> None:
    """Values of any kind anywhere, with digests that fit."""
    for path in rng.choices([p for p in sorted(folder.rglob("*.json")) if p.name != "digests.json"], k=rng.choice((1, 1, 2))):
        content = _json(path)
        for _ in range(rng.choice((1, 1, 1, 3))):
            if leaves := base.leaves(content):
                owner, key = rng.choice(leaves)
                owner[key] = _odd(rng, folder)
        if isinstance(content, dict):
            _put(path, content)
        else:
            path.write_text(json.dumps(content))
            _reseal(path.parent) if path.parent.name == "records" else None


def _odd_rows(rng: random.Random, folder: Path) -> None:
    """Rows of the plan that hold together, with names and numbers that harm."""
    path = _plan(folder)
    plan = _json(path)
    for entry in plan["entries"]:
        if rng.random() < 0.5:
            entry[rng.choice(("label", "pair", "family", "method"))] = rng.choice(ESCAPES)
        if rng.random() < 0.2:
            entry["grid_point"] = {rng.choice((*ESCAPES, "t")): rng.choice((*ESCAPES, 1, [1], {"a": 1}, None))}
        if rng.random() < 0.1:
            entry["role"] = rng.choice(("student", "teacher", "assistant", "generation"))
    if rng.random() < 0.3:
        plan[rng.choice(("title", "description"))] = rng.choice(ESCAPES)
    if rng.random() < 0.2:
        plan["entries"] = rng.choice(
            ([], plan["entries"][:1], plan["entries"] * 3, [e for e in plan["entries"] if e["role"] != "student"])
        )
    if rng.random() < 0.2:
        plan["report"] = rng.choice(({"columns": ["place", "x"]}, {"sort": "x"}, {"columns": ["place"]}, {"sort": "-method"}))
    if rng.random() < 0.2:
        unit, label = rng.choice(ESCAPES[:3]), rng.choice(("", "|", "<img src=x>", "loss"))
        info = {"label": label, "higher_is_better": False, "percent": rng.random() < 0.5}
        plan["task"] = {
            "name": "x",
            "unit": rng.choice((unit, "word")),
            "metrics": {"m": info},
            "primary": rng.choice(("m", "n")),
        }
    _put(path, plan)


def _odd_words(rng: random.Random, folder: Path) -> None:
    """Texts of records that harm a terminal, a page or a spreadsheet."""
    paths = (
        [folder / "records" / "records.json"] if (folder / "records").is_dir() else sorted(folder.glob("trials/*/record.json"))
    )
    for path in paths:
        content = _json(path)
        for record in content.values() if path.name == "records.json" else (content,):
            evil = rng.choice(ESCAPES)
            record["provenance"] |= {"command": evil, "device": evil, "machine": {"processor": evil}, "libraries": {evil: evil}}
            record["provenance"][rng.choice(("started", "finished", "kdbench", "commit"))] = evil
            record["metrics"]["test"][evil[:50]] = rng.choice((1.0, 1e308))
            if rng.random() < 0.3:
                record |= {"status": "failed", "failure": {"kind": evil, "message": evil}}
        _put(path, content)


def _circle(rng: random.Random, folder: Path) -> None:
    path = _plan(folder)
    plan = _json(path)
    ids = list(plan["trials"])
    for one, other in zip(ids, ids[1:] + ids[:1], strict=True):
        plan["trials"][one]["teachers"] = [other]
    if rng.random() < 0.5:
        plan["version"] = 1
    _put(path, plan)


def _chain(rng: random.Random, folder: Path) -> None:
    """A chain of teachers as long as a plan may be, of version 1."""
    path = _plan(folder)
    plan = _json(path)
    one = next(iter(plan["trials"].values()))
    length = rng.choice((2_000, 20_000))
    chain = {f"{i:016x}": {**one, "teachers": [f"{i + 1:016x}"]} for i in range(length)}
    path.write_text(json.dumps({**plan, "version": rng.choice((1, 2)), "trials": {**chain, **plan["trials"]}}))
    _reseal(path.parent) if path.parent.name == "records" else None


def _crowd(rng: random.Random, folder: Path) -> None:
    """Thousands of files and folders."""
    names = rng.choice(("{:016x}", "x{}", "{:016x}.json", ".{}", "{:016X}"))
    where = folder / ("records" if (folder / "records").is_dir() else rng.choice(("trials", "suites", "profiles", "latency")))
    for i in range(3000):
        path = where / names.format(i)
        path.write_text("{}") if rng.random() < 0.5 else path.mkdir()


def _weights(rng: random.Random, folder: Path) -> None:
    content = rng.choice(((10**12).to_bytes(8, "little"), (8).to_bytes(8, "little") + b"{" * 8, b"", b"\xff" * 100))
    _companion(rng, folder, "student.safetensors", content)


RUNS: dict[str, Spoil] = {
    "a path for an id in the plan": _trial_key,
    "a path for the suite's name": _suite_name,
    "a path in a record": _named_path,
    "symbolic links": _link,
    "links where the report goes": _output_link,
    "pipes, sockets, folders": _special,
    "half a gigabyte": _large,
    "deep or long JSON": _much_json,
    "arrays": _arrays,
    "histories": _table,
    "odd values": _odd_values,
    "odd rows": _odd_rows,
    "odd words": _odd_words,
    "teachers in a circle": _circle,
    "a long chain of teachers": _chain,
    "thousands of files": _crowd,
    "weights": _weights,
}
OF_RUNS_ONLY = ("a path in a record", "weights")
KINDS: dict[str, Spoil] = {
    **{f"runs: {name}": spoil for name, spoil in RUNS.items()},
    **{f"report: {name}": spoil for name, spoil in RUNS.items() if name not in OF_RUNS_ONLY},
}
