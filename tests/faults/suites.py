"""Suites that a stranger damaged, or wrote to run code or to exhaust time and memory, given to ``plan`` and ``run``."""

from __future__ import annotations

import functools
import json
import os
import pickle
import random
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.faults import case
from tests.faults.case import Case
from tests.faults.zygote import Result, Zygote

COUNT = 1000
SECONDS = 5.0
MEMORY_MB = 1000  # beyond what a process has that imported torch
ROOT = Path(__file__).parents[2]
SMALL = {
    "dataset": {"name": "digits", "limit": 160, "validation": 0.2},
    "networks": {"big": {"model": "tiny_cnn", "kwargs": {"width": 6}}, "other": {"model": "mnist_mlp"}},
    "pairs": [{"name": "pair", "student": {"model": "tiny_cnn", "kwargs": {"width": 2}}, "teachers": ["big", "other"]}],
    "methods": ["supervised", "kd", {"method": "dkd", "grid": {"alpha": [0.5, 1.0]}}],
    "seeds": 1,
    "recipe": {"epochs": 2, "batch_size": 32, "lr": 0.05, "augmentation": {"crop_padding": 1}},
    "measure": {"latency": False},
}
LOCATION = re.compile(r"suite\.yaml:\d+|in --\w+")
BIG = 10**9


@dataclass
class Attempt:
    """A suite, how it is given, and what is known of the answer.

    Args:
        content: of the file; ``None`` for a file that ``prepare`` makes.
        options: further options.
        refused: whether it must be refused; ``None`` where that depends on chance.
        located: whether a refusal names a line.
        prepare: makes whatever else there is in the folder.
    """

    content: bytes | str | None = None
    options: tuple[str, ...] = ()
    refused: bool | None = None
    located: bool = True
    prepare: Callable[[Path], None] = field(default=lambda folder: None)


Kind = Callable[[random.Random], Attempt]
KINDS: dict[str, Kind] = {}


def cases(random: random.Random, count: int) -> Iterator[Case]:
    """Faults of every kind in turn, each drawn from the generator."""
    zygote = _zygote()
    names = sorted(KINDS)
    for number in range(count):
        name = names[number % len(names)]
        attempt = KINDS[name](random)
        yield Case(name, functools.partial(_inject, zygote, attempt, also_run=number % 10 == 0), 60.0)


@functools.cache
def _zygote() -> Zygote:
    return Zygote()


@functools.cache
def _imports_mb() -> float:
    with tempfile.TemporaryDirectory() as folder:
        return _zygote().kdbench(["list", "suites"], Path(folder)).peak_mb


# What is tried, and what must not happen.


def _inject(zygote: Zygote, attempt: Attempt, folder: Path, *, also_run: bool) -> str:
    work = folder / "here"
    work.mkdir()
    _make_traps(folder)
    if attempt.content is not None:
        content = attempt.content.encode("utf-8", "surrogatepass") if isinstance(attempt.content, str) else attempt.content
        (work / "suite.yaml").write_bytes(content.replace(b"@FOLDER@", str(folder).encode()))
    attempt.prepare(folder)
    before = _files(folder)
    options = [o.replace("@FOLDER@", str(folder)) for o in attempt.options]
    result = _call(zygote, "plan", options, work)
    problem = _problem(result, attempt, folder, before)
    if problem or result.seconds > SECONDS * case.PATIENCE:
        return problem or f"took {result.seconds:.1f} s"
    if also_run and result.code == 0 and (found := re.search(r"^(\d+) trials", result.out, re.M)) and int(found[1]) <= 6:
        quick = ["--epochs", "1", "--set", "measure.latency=false", "--set", "dataset.limit=100", "--threads", "1"]
        result = _call(zygote, "run", [*options, *quick], work, timeout=60)
        return _problem(result, Attempt(located=False), folder, before, running=True)
    return ""


def _call(zygote: Zygote, command: str, options: list[str], work: Path, timeout: float = 15) -> Result:
    environment = {
        "XDG_CONFIG_HOME": str(work.parent / "config"),
        "HOME": str(work.parent),
        "KDBENCH_TRUST": "",
        "HF_HUB_OFFLINE": "1",
    }
    arguments = [command, "suite.yaml", "--runs", "runs", "--data-root", "data", *options]
    return zygote.kdbench(arguments, work, timeout=timeout, memory_mb=4096, env=environment)


def _problem(result: Result, attempt: Attempt, folder: Path, before: Mapping[str, bytes], running: bool = False) -> str:
    said = result.err.strip().splitlines()
    told = "\n".join(line for line in said if line.startswith("error: ")) or result.err
    problems = {
        "ran code": (folder / "canary").exists(),
        "timed out": result.timed_out,
        f"status {result.code}: {result.err[-300:]}": result.code not in ((0, 1, 2) if running else (0, 2)),
        "a traceback": "Traceback" in result.err + result.out,
        f"{result.peak_mb:.0f} MB": result.peak_mb > MEMORY_MB + _imports_mb(),
        f"was accepted: {result.out[-200:]}": attempt.refused is True and result.code == 0,
        f"was refused: {result.err[-300:]}": attempt.refused is False and result.code == 2,
        f"no sentence: {result.err[-300:]}": result.code == 2 and not re.match(r"error: |Usage: ", told),
        f"no line: {told[:300]}": result.code == 2 and attempt.located and not LOCATION.search(told),
        f"a long sentence: {told[:300]}": max(map(len, said), default=0) > 1500 or len(said) > 12,
        "control characters": any(ord(c) < 32 and c not in "\n\t\r" for c in result.err + result.out),
        "wrote elsewhere": _files(folder) != before,
    }
    return next((name for name, present in problems.items() if present), "")


def _files(folder: Path) -> dict[str, bytes]:
    """Every regular file but those of runs and data."""
    found = {}
    for root, folders, files in os.walk(folder):
        if root == str(folder / "here"):
            folders[:] = [f for f in folders if f not in ("runs", "data")]
        for name in files:
            path = Path(root, name)
            if path.is_file() and not path.is_symlink() and path.stat().st_size < 10**6:
                found[str(path)] = path.read_bytes()
    return found


class _Touch:
    """A pickle that makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def _make_traps(folder: Path) -> None:
    """Code that a suite must not run: plugins, pickles, a local model."""
    canary = folder / "canary"
    code = f"import pathlib\npathlib.Path({str(canary)!r}).touch()\n"
    for place in ("evil.py", "here/evil.py", "here/sitecustomize.py"):
        (folder / place).write_text(code)
    bad = pickle.dumps(_Touch(canary))
    for place in ("evil.pth", "here/evil.safetensors", "here/model/pytorch_model.bin"):
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_bytes(bad)
    config = {"architecture": "resnet18", "num_classes": 10, "pretrained_cfg": {"file": str(folder / "evil.pth")}}
    (folder / "here/model/config.json").write_text(json.dumps(config))


# Suites to damage.


@functools.cache
def _bases() -> tuple[str, ...]:
    """Texts of the suites that come with kdbench, and of a small one, with data that are at hand."""
    found = [yaml.safe_dump(SMALL, sort_keys=False)]
    for path in sorted((ROOT / "suites").glob("*.yaml")):
        text = path.read_text()
        text = re.sub(r"^dataset:.*(\n[ ].*)*", "dataset: {name: digits, limit: 160}", text, flags=re.M)
        text = re.sub(r"weights: pretrained", "weights: scratch", text)
        text = re.sub(r"batch_size: \d+", "batch_size: 32", text)
        found.append(re.sub(r"^measure:.*(\n[ ].*)*", "measure: {latency: false, cost: false}", text, flags=re.M))
    return tuple(found)


def _base(r: random.Random) -> str:
    return r.choice(_bases())


def _suite(**changes: Any) -> str:
    return yaml.safe_dump({**SMALL, **changes}, sort_keys=False)


def _entry(**entry: Any) -> str:
    return _suite(methods=[{"method": "kd", **entry}])


def _kind(name: str) -> Callable[[Kind], Kind]:
    def added(kind: Kind) -> Kind:
        KINDS[name] = kind
        return kind

    return added


# Damage by chance.


@_kind("bytes changed")
def _bytes(r: random.Random) -> Attempt:
    data = bytearray(_base(r).encode())
    for _ in range(r.choice([1, 1, 2, 5, 40])):
        where = r.randrange(len(data))
        choice = r.randrange(4)
        if choice == 0:
            data[where] = r.randrange(256)
        elif choice == 1:
            data.insert(where, r.choice(b"\0\t\r\n:-?[]{}&*!|>'\"%@`#,~\x85\xff\xef\xbb\xbf"))
        elif choice == 2:
            del data[where]
        else:
            del data[where : where + r.randrange(60)]
    return Attempt(bytes(data))


@_kind("lines changed")
def _lines(r: random.Random) -> Attempt:
    lines = _base(r).splitlines()
    for _ in range(r.choice([1, 1, 2, 4])):
        a, b = r.randrange(len(lines)), r.randrange(len(lines))
        action = r.randrange(5)
        if action == 0 and len(lines) > 1:
            del lines[a]
        elif action == 1:
            lines.insert(b, lines[a])
        elif action == 2:
            lines[a], lines[b] = lines[b], lines[a]
        elif action == 3:
            lines[a] = " " * r.randrange(6) + lines[a].lstrip() if r.random() < 0.7 else "\t" + lines[a]
        else:
            lines.insert(
                a, r.choice(["---", "...", "%YAML 1.1", "%TAG ! tag:x,2000:", "<<: *x", "? a", "- - -", "&a &b c: d", "*a : b"])
            )
    return Attempt(r.choice(["\n", "\n", "\r\n", "\r"]).join(lines) + "\n")


@_kind("two suites in one")
def _spliced(r: random.Random) -> Attempt:
    a, b = _base(r), _base(r)
    return Attempt(a[: r.randrange(len(a))] + b[r.randrange(len(b)) :])


ABSURD = [
    *("1000000000", "-1", "0", ".inf", "-.inf", ".nan", "1e400", "0x7fffffffffffffff", "9" * 30, "9" * 5000, "1_0", "1e-400", "true"),
    *("null", "~", "''", "[]", "{}", "[[[]]]", "'3'", "3.0", "2024-01-01", "\"\\0\"", "\"\\ud800\"", "\"\\x1b[31mred\"", "'../../x'"),
    *("!!bool 3", "!!int x", "!!float []", "!!str [1]", "!!binary aGk=", "!!set {a, b}", "!!omap [a: 1]", "!!null x", "!mine 3"),
    *("!!python/object/apply:os.system ['touch @FOLDER@/canary']", "!!python/name:os.system", "!!timestamp 2024-01-01", "!!map [1]"),
    *("=", "<<", "|", "&a", "*a", "&a [*a]", "\"\\u2028\"", "\"" + "a" * 20_000 + "\"", "{a: 1, a: 2}", "{1: 2}", "{? [a] : b}"),
]  # fmt: skip


@_kind("a value replaced")
def _value(r: random.Random) -> Attempt:
    text = _base(r)
    values = list(re.finditer(r"(?<=[:,\[] )[\w.<\-]+(?=[\s,}\]])", text)) or list(re.finditer(r"\w+", text))
    for found in sorted(r.sample(values, r.choice([1, 1, 1, 2])), key=lambda f: -f.start()):
        text = text[: found.start()] + r.choice(ABSURD) + text[found.end() :]
    return Attempt(text)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _paths(inner, (*path, key))


@_kind("a part replaced")
def _part(r: random.Random) -> Attempt:
    raw = yaml.safe_load(_base(r))
    *around, key = r.choice(list(_paths(raw)))
    here = functools.reduce(lambda value, part: value[part], around, raw)
    things = [
        None,
        True,
        -1,
        0,
        1.5,
        BIG,
        10**30,
        "",
        "x",
        "kd",
        [],
        {},
        [None],
        {"a": 1},
        [[]],
        "a" * 300,
        ["kd"] * 3,
        {"model": 3},
    ]
    action = r.randrange(4)
    if action == 0:
        here[key] = r.choice(things)
    elif action == 1:
        del here[key]
    elif action == 2 and isinstance(here, dict):
        here[r.choice(["x", "", "a" * 300, str(key) + "s", str(key)[:-1]])] = here.pop(key)
    else:
        other = r.choice(list(_paths(raw)))
        here[key] = json.loads(json.dumps(functools.reduce(lambda value, part: value[part], other, raw), default=str))
    return Attempt(yaml.safe_dump(raw, sort_keys=False))


# Too much.


@_kind("too many trials")
def _trials(r: random.Random) -> Attempt:
    many = r.choice([10**5, 10**6, BIG, 10**18, 10**30])
    wide = {name: [round(0.01 + 0.0001 * i, 6) for i in range(r.choice([300, 1000]))] for name in ("temperature", "alpha")}
    text = r.choice(
        [
            _entry(generations=many),
            _suite(seeds=many),
            _suite(seeds=list(range(r.choice([10_001, 15_000])))),
            _entry(grid=wide),
            _suite(
                methods=[{"method": "dkd", "grid": {n: list(range(1, 40)) for n in ("alpha", "beta", "temperature")}}], seeds=9
            ),
            _suite(seeds=9000, methods=["kd", "dkd", "supervised"]),
            _suite(seeds=900, methods=[{"method": "born_again", "generations": 900}]),
            _suite(pairs=[{"student": "tiny_cnn", "teacher": "big", "name": f"p{i}"} for i in range(400)], seeds=100),
        ]
    )
    return Attempt(text, refused=True)


@_kind("teachers of teachers")
def _teachers(r: random.Random) -> Attempt:
    size = r.choice([5, 30, 45, 60, 300, 1500])
    layers = {f"n{i}": {"model": "tiny_cnn", "method": "kd", "teachers": [f"n{i + 1}"]} for i in range(size)}
    if r.random() < 0.5:
        layers = {
            f"n{i}{side}": {"model": "tiny_cnn", "method": "mean_teachers", "teachers": [f"n{i + 1}a", f"n{i + 1}b"]}
            for i in range(size)
            for side in "ab"
        }
        ends: dict[str, Any] = {f"n{size}a": "tiny_cnn", f"n{size}b": "mnist_mlp"}
        first = "n0a"
    else:
        ends, first = {f"n{size}": "tiny_cnn"}, "n0"
    if r.random() < 0.2:
        ends = {key: {"model": "tiny_cnn", "method": "kd", "teachers": [first]} for key in ends}
    order = list({**layers, **ends}.items())
    r.shuffle(order)
    text = _suite(networks=dict(order), pairs=[{"student": "tiny_cnn", "teacher": first}], methods=["kd"])
    return Attempt(text, refused=None if size < 50 else True)


@_kind("many of a thing")
def _many(r: random.Random) -> Attempt:
    n = r.choice([500, 2000, 20_000, 100_000])
    text = r.choice(
        [
            _suite() + "".join(f"x{i}: 1\n" for i in range(n)),
            _suite(report={"columns": ["accuracy"] * n}),
            _suite(pairs=[{"student": "tiny_cnn", "teachers": ["big"] * n}]),
            _suite(methods=["kd"] * n),
            _suite(plugins=["evil.py"] * n),
            _entry(assistants=["big"] * n),
            _entry(params={f"x{i}": 1 for i in range(n)}),
            _entry(grid={f"x{i}": [1] for i in range(n)}),
            _suite(networks={f"n{i}": "mnist_mpl" for i in range(n)}),
            _suite(pairs=[{"student": "tiny_cnn"}] * n),
            _suite(dataset={"name": "digits", "classes": [0] * n}),
            _suite(recipe={"augmentation": {f"x{i}": 1 for i in range(n)}}),
        ]
    )
    return Attempt(text, refused=True)


@_kind("large text")
def _large(r: random.Random) -> Attempt:
    n = r.choice([10_000, 100_000, 200_000, 5_000_000, 50_000_000])
    text = r.choice(
        [
            f"title: {'x' * n}\n{_suite()}",
            f'title: "{"x " * (n // 2)}"\n{_suite()}',
            f"{'x' * n}: 1\n{_suite()}",
            _suite() + "#" * n,
            _suite() + "\n" * n,
            _suite() + " " * n,
            f"title: |\n  {'x' * n}\n{_suite()}",
            _suite(methods=["k" * n]),
            _suite(pairs=[{"student": "a" * n}]),
            _suite(dataset="d" * n),
            _suite() + f"seeds: {'9' * n}",
        ]
    )
    return Attempt(text, refused=None if n <= 100_000 else True)


@_kind("nested deeply")
def _nested(r: random.Random) -> Attempt:
    n = r.choice([60, 500, 5000, 60_000])
    where = r.choice(["x: ", "recipe: ", "methods: ", "networks: {a: {model: tiny_cnn, kwargs: {width: 2, x: "])
    tail = "}}}" if "networks" in where else ""
    inner = r.choice(
        ["[" * n + "]" * n, "{a: " * n + "}" * n, "[" * n, "- " * n, "{[" * n, "? " * n, "!!seq [" * n, "&a [" * n]
    )
    base = "".join(line for line in _suite().splitlines(True) if not line.startswith(("networks", "methods", "recipe")))
    return Attempt(base + where + inner + tail + "\n", refused=True)


@_kind("aliases of aliases")
def _aliases(r: random.Random) -> Attempt:
    n = r.choice([10, 30, 60, 1500])
    wide, kind = r.choice([2, 9]), r.randrange(4)
    if kind == 0:
        lines = ["a0: &a0 [1, 2]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * wide)}]" for i in range(1, n)]
    elif kind == 1:
        lines = ["a0: &a0 {x: 1}"] + [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * wide)}], y{i}: 1}}" for i in range(1, n)]
    elif kind == 2:
        lines = ["a0: &a0 {x: 1}"] + [f"a{i}: &a{i} {{x: *a{i - 1}}}" for i in range(1, n)]
    else:
        lines = [r.choice(["a: &a [*a]", "a: &a {b: *a}", "a: &a {<<: *a}", "a: &a\n  - b: {c: *a}", "a: *b", "&a a: *a"])]
    return Attempt("\n".join(lines) + "\n" + _suite(), refused=True)


@_kind("absurd numbers")
def _numbers(r: random.Random) -> Attempt:
    many = r.choice([10**6, BIG, 2**63, 10**40, float("inf"), float("nan"), -1])
    latency = r.choice(["batch_sizes", "threads", "min_seconds", "min_rounds", "blocks", "processes", "max_spread"])
    recipe = r.choice(["epochs", "batch_size", "warmup_epochs", "lr", "weight_decay", "momentum", "min_lr", "clip_grad"])
    text = r.choice(
        [
            _suite(measure={"latency": {latency: [many] if latency == "batch_sizes" else many}}),
            _suite(measure={"latency": False, "batch_size": many}),
            _suite(recipe={recipe: many}),
            _suite(recipe={"augmentation": {"crop_padding": many}}),
            _suite(recipe={"augmentation": {"crop_padding": many, "crop_mode": "reflect"}}),
            _suite(
                recipe={"schedule": "step", "schedule_kwargs": {r.choice(["decay_epochs", "decay_rate", "cycle_limit"]): many}}
            ),
            _suite(
                recipe={"optimizer": "adamw", "optimizer_kwargs": {r.choice(["eps", "betas", "foreach", "layer_decay"]): many}}
            ),
            _suite(dataset={"name": "digits", r.choice(["limit", "validation", "test", "split_seed"]): many}),
            _suite(dataset={"name": "digits", "classes": [0, many]}),
            _suite(networks={"big": {"model": "tiny_cnn", "preprocessing": {"size": [many, many]}}, "other": "mnist_mlp"}),
            _suite(networks={"big": {"model": "tiny_cnn", "preprocessing": {"std": [many]}}, "other": "mnist_mlp"}),
            _suite(networks={"big": {"model": "tiny_cnn", "seed": many}, "other": "mnist_mlp"}),
            _suite(seeds=[many]),
            _entry(params={r.choice(["temperature", "alpha"]): many}),
            _entry(grid={"temperature": [1.0, many]}),
            _suite(methods=[{"method": r.choice(["dml", "kdcl"]), "params": {"peers": many}}]),
            _suite(methods=[{"method": "born_again", "generations": many}]),
        ]
    )
    return Attempt(text)


@_kind("absurd networks")
def _networks(r: random.Random) -> Attempt:
    many = r.choice([10**4, 10**5, 10**6, BIG])
    model, kwargs = r.choice(
        [
            ("tiny_cnn", {"width": many}),
            ("mnist_mlp", {"widths": [10 * many, 10 * many]}),
            ("mnist_mlp", {"widths": [1] * 9000}),
            ("vit_tiny_patch16_224", {"embed_dim": many * 3}),
            ("vit_tiny_patch16_224", {"depth": many}),
            ("vit_tiny_patch16_224", {"num_heads": many}),
            ("vit_tiny_patch16_224", {"img_size": many}),
            ("vit_tiny_patch16_224", {"patch_size": many}),
            ("resnet18", {"layers": [many, 1, 1, 1]}),
            ("resnet18", {"base_width": many, "block_args": {"x": many}}),
            ("efficientnet_b0", {"channel_multiplier": many}),
            ("mobilenetv3_small_050", {"stem_size": many}),
            ("resnet18", {"drop_rate": float("nan")}),
            ("resnet18", {"act_layer": "eval"}),
            ("resnet18", {"block": "__import__('os').system('touch @FOLDER@/canary')"}),
        ]
    )
    return Attempt(_suite(networks={"big": {"model": model, "kwargs": kwargs}, "other": "mnist_mlp"}))


# Code and places.


@_kind("a suite with code")
def _plugins(r: random.Random) -> Attempt:
    name = r.choice(["evil.py", "../evil.py", "@FOLDER@/evil.py", "./x/../evil.py", "~/evil.py", "link.py", "../here/evil.py"])

    def link(folder: Path) -> None:
        (folder / "here/x").mkdir()
        (folder / "here/link.py").symlink_to(folder / "evil.py")

    return r.choice(
        [
            Attempt(_suite(plugins=[name]), refused=True, prepare=link),
            Attempt(_suite(plugins=["absent.py", name]), refused=True, prepare=link),
            Attempt(_suite(), options=("--set", f"plugins=[{name}]"), refused=True, prepare=link),
        ]
    )


@_kind("a plugin that is not a file")
def _strange_plugins(r: random.Random) -> Attempt:
    name = r.choice(
        [
            ".",
            "/",
            "/dev/zero",
            "pipe.py",
            "folder.py",
            "loop.py",
            "a" * 300 + ".py",
            "a/" * 1500,
            "-",
            "",
            "absent.py",
            "b.txt",
        ]
    )

    def make(folder: Path) -> None:
        os.mkfifo(folder / "here/pipe.py")
        (folder / "here/folder.py").mkdir()
        (folder / "here/loop.py").symlink_to("loop.py")
        (folder / "here/b.txt").write_bytes(b"\0\xff")

    return Attempt(_suite(plugins=[name]), options=r.choice([(), ("--trust",)]), refused=True, prepare=make)


@_kind("weights from elsewhere")
def _weights(r: random.Random) -> Attempt:
    name = r.choice(
        ["evil.safetensors", "../evil.pth", "/dev/zero", "/dev/stdin", ".", "model", "pipe", "a" * 300, "loop", "empty", "bomb"]
    )

    def make(folder: Path) -> None:
        os.mkfifo(folder / "here/pipe")
        (folder / "here/loop").symlink_to("loop")
        (folder / "here/empty").write_bytes(b"")
        (folder / "here/bomb").write_bytes((2**62).to_bytes(8, "little") + b"{}")

    text = _suite(networks={"big": {"model": "tiny_cnn", "weights": name, "recipe": {"epochs": 0}}, "other": "mnist_mlp"})
    return Attempt(text, refused=True, prepare=make)


@_kind("arguments of timm that load")
def _timm(r: random.Random) -> Attempt:
    kwargs = r.choice(
        [
            {"pretrained_cfg": {"file": "@FOLDER@/evil.pth"}, "pretrained": True},
            {"pretrained_cfg": {"file": "@FOLDER@/evil.pth"}},
            {"pretrained_cfg": "a1_in1k"},
            {"pretrained_cfg_overlay": {"file": "@FOLDER@/evil.pth"}},
            {"checkpoint_path": "@FOLDER@/evil.pth"},
            {"pretrained_strict": False},
            {"pretrained_model_args": {"x": 1}},
            {"cache_dir": "@FOLDER@/cache"},
            {"features_only": True},
            {"out_indices": [1]},
            {"scriptable": True},
            {"exportable": True},
            {"no_jit": True},
            {"device": "cuda"},
            {"dtype": "float16"},
            {"num_classes": 3},
            {"model_name": "hf-hub:x/y"},
        ]
    )
    return Attempt(_suite(networks={"big": {"model": "resnet18", "kwargs": kwargs}, "other": "mnist_mlp"}), refused=True)


@_kind("names of models that load")
def _models(r: random.Random) -> Attempt:
    name = r.choice(
        [
            *("hf-hub:timm/resnet18", "hf_hub:timm/resnet18", "local-dir:@FOLDER@/here/model", "local-dir:model", "./model", "timm/resnet18"),
            *("resnet18.x:model", "resnet18.local-dir:model", "resnet18./../model", "resnet18.nothing", "http://x/y", "resnet18\\x", "os.system"),
        ]
    )  # fmt: skip
    place = r.choice(["network", "student", "assistant"])
    if place == "network":
        text = _suite(networks={"big": {"model": name, "weights": r.choice(["scratch", "pretrained"])}, "other": "mnist_mlp"})
    elif place == "student":
        text = _suite(pairs=[{"student": name, "teachers": ["big", "other"]}])
    else:
        text = _entry(assistants=[name])
    return Attempt(text, refused=True)


@_kind("names that are places")
def _names(r: random.Random) -> Attempt:
    name = r.choice(
        [
            "../x",
            "/tmp/x",
            "a/b",
            "..",
            ".",
            "",
            "a\\b",
            "x" * 300,
            "a\nb",
            "\0",
            "\x1b[2J",
            "\ud800",
            "con\u202ecod",
            "💥" * 80,
        ]
    )
    quoted = json.dumps(name)
    lines = [line for line in _suite().splitlines() if not line.startswith("name")]
    return Attempt("\n".join([f"name: {quoted}", *lines]) + "\n", refused=None if name.startswith("con") else True)


@_kind("data from elsewhere")
def _data(r: random.Random) -> Attempt:
    path = r.choice(
        ["/dev/zero", "/", "/proc", "/dev", "pipe", ".", "..", "a" * 300, "loop", "~nobody/x", "absent", "/dev/stdin", "a\0b"]
    )
    options: dict[str, Any] = {"path": path}
    name = r.choice(["folder", "parquet", "parquet", "parquet"])
    if name == "parquet" and r.random() < 0.5:
        options = {"train": path, "test": path}
    if r.random() < 0.3:
        options["size"] = r.choice([BIG, 0, -1, "x"])

    def make(folder: Path) -> None:
        os.mkfifo(folder / "here/pipe")
        (folder / "here/loop").symlink_to("loop")

    return Attempt(_suite(dataset={"name": name, "options": options}), refused=True, located=False, prepare=make)


# Files and options.


@_kind("encodings")
def _encodings(r: random.Random) -> Attempt:
    text = "title: é😀\n" + _suite()
    kinds: list[tuple[bytes, bool | None]] = [
        (text.encode("utf-16"), True),
        (text.encode("utf-16-le"), True),
        (text.encode("utf-32"), True),
        (text.encode("utf-8-sig"), False),
        (text.replace("😀", "").encode("latin-1"), True),
        (b"\xef\xbb\xbf" * 2 + text.encode(), None),
        (text.replace("\n", "\r\n").encode(), False),
        (text.replace("\n", "\r").encode(), False),
        (text.encode() + b"\x1a", True),
        (text.encode() + b"\0", True),
        (text.replace("é", "\ud800").encode("utf-8", "surrogatepass"), True),
        (text.encode("utf-7"), None),
        (bytes(r.randrange(256) for _ in range(300)), True),
        (b"\x1f\x8b\x08" + bytes(r.randrange(256) for _ in range(300)), True),
    ]
    content, refused = r.choice(kinds)
    return Attempt(content, refused=refused)


@_kind("not a suite's file")
def _not_a_file(r: random.Random) -> Attempt:
    def empty(folder: Path) -> None:
        (folder / "here/suite.yaml").write_bytes(b"")

    def directory(folder: Path) -> None:
        (folder / "here/suite.yaml").mkdir()

    def pipe(folder: Path) -> None:
        os.mkfifo(folder / "here/suite.yaml")

    def device(folder: Path) -> None:
        (folder / "here/suite.yaml").symlink_to(r.choice(["/dev/zero", "/dev/stdin", "/dev/random"]))

    def loop(folder: Path) -> None:
        (folder / "here/suite.yaml").symlink_to("suite.yaml")

    def proc(folder: Path) -> None:
        (folder / "here/suite.yaml").symlink_to(
            r.choice(["/proc/self/mem", "/proc/self/maps", "/proc/kmsg", "/proc/self/environ"])
        )

    def sparse(folder: Path) -> None:
        with (folder / "here/suite.yaml").open("wb") as file:
            file.truncate(10**12)

    return Attempt(refused=True, located=False, prepare=r.choice([empty, directory, pipe, device, loop, proc, sparse]))


@_kind("options")
def _options(r: random.Random) -> Attempt:
    key = r.choice(
        [
            *("recipe.augmentation.flp", "recipe.lr", "recipe", "seeds", "seeds.0", "methods.1", "methods.99", "methods", "pairs.0.student"),
            *("networks.big.kwargs.width", "dataset", "dataset.options.x", "name", "x", "", ".", "recipe..lr", "measure.latency", "plugins"),
        ]
    )  # fmt: skip
    value = r.choice([*ABSURD, "fast", "3"]).replace("@FOLDER@", "/tmp/none")
    named = r.choice(
        [
            ("--set", f"{key}={value}"),
            ("--set", key),
            ("--seeds", r.choice(["x", "", ",", "-1", "0", str(BIG), "1,,2", "9" * 5000, "1," * 20_000])),
            ("--epochs", r.choice(["-1", "x", str(BIG)])),
            ("--only", r.choice(["kdd", "", "a" * 10_000])),
            ("--set", "recipe.augmentation.flp=true"),
        ]
    )
    return Attempt(_suite(), options=named if "\0" not in "".join(named) else (), located=False)
