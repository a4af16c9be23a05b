"""Misbehaving plugins, each run beside honest methods: it costs itself alone, is named, and changes no number of theirs."""

from __future__ import annotations

import functools
import hashlib
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent, indent

import numpy as np
import yaml

from tests.faults.case import Case
from tests.faults.zygote import Result, Zygote

COUNT = 200
SECONDS = 60.0
STEPS = 6
"""Of a trial: 96 training samples in batches of 32, and two epochs."""
HONEST = ("supervised", "kd", "fitnets")

HEAD = '''
import asyncio, gc, os, signal, sys, threading, time, warnings
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
import kdbench
from kdbench import Method, Needs, hookimpl

class Odd(Exception):
    def __str__(self):
        {odd}

def change(x, when):
    """Change a tensor without a new version."""
    if not isinstance(x, torch.Tensor) or not x.numel():
        return
    {change}
'''
METHOD = '''
class Culprit(Method):
    """Misbehaves."""

    family = "test"
    needs = Needs(teachers=1, indices=True, teacher_features=(-1,))
    calls = 0
{body}

    def build(self, context):
        self.calls = 0
{build}

    def loss(self, step):
        self.calls += 1
        now = self.calls == {when}
        loss = F.cross_entropy(step.student.logits, step.targets)
        terms = {{"ce": loss}}
        if now:
{loss}
        return terms
'''

ODD_TEXTS = (
    "raise SystemExit(3)",
    "return 3",
    'return "x" * 10**6',
    "raise ValueError",
    'return "\\x1b[31m\\n\\ud800"',
    "return None",
)
RAISES = (
    "raise ValueError('no')",
    "raise SystemExit(0)",
    "sys.exit()",
    "sys.exit('bye')",
    "raise GeneratorExit",
    "raise asyncio.CancelledError",
    "raise KeyboardInterrupt",
    "raise Odd",
    "raise StopIteration",
    "raise MemoryError",
    "raise RecursionError",
    "raise kdbench.MethodError('x' * 10**6)",
    "raise kdbench.MethodError(3)",
    "raise BaseException('base')",
    "raise ExceptionGroup('many', [ValueError(i) for i in range(1000)])",
    "raise type('E' * 5000, (Exception,), {})('e')",
    "raise BrokenPipeError",
    "raise OSError(28, 'No space left on device')",
    "raise StopAsyncIteration",
    "exit()",
    "raise torch.OutOfMemoryError('CUDA out of memory')",
    "from kdbench.errors import StoreError; raise StoreError('the disk is full')",
    "from kdbench.engine.executors import WorkerDied; raise WorkerDied('dead')",
)
CHANGES = (
    "x.data.mul_(1.5) if x.is_floating_point() else x.data.add_(1).remainder_(2)",
    "x.detach().numpy()[...] = 0",
    "x.detach().numpy().flat[0] += 1",
    "x.data = torch.zeros_like(x)",
    "x.set_(torch.zeros_like(x))",
    "x.resize_(1)",
    "x.zero_()",
    "x.data.copy_(x.flip(0).clone())",
    "x.untyped_storage().fill_(0)",
    "x.data[0] = x.data[-1].clone()",
    "torch.as_strided(x.data, (1,), (1,), x.numel() // 2).add_(1)",
    "x.unsqueeze_(0)",
    "x.t_() if x.dim() == 2 else x.unsqueeze_(0)",
    "x.requires_grad_(True).sum() if x.is_floating_point() else x.zero_()",
    "memoryview(x.detach().numpy()).cast('B')[0:1] = b'\\x01'; x.data.flatten()[0] += 1",
)
SHARED = ("step.inputs", "step.targets", "step.teacher.logits", "step.teacher.features[0]", "step.indices")
SETTINGS = (
    "torch.set_grad_enabled(False)",
    "torch.no_grad().__enter__()",
    "self.mode = torch.inference_mode(); self.mode.__enter__()",
    "torch.autocast('cpu', torch.bfloat16).__enter__()",
    "torch.set_autocast_enabled('cpu', True)",
    "torch.set_default_dtype(torch.float64)",
    "torch.set_default_device('meta')",
    "torch.use_deterministic_algorithms(True)",
    "torch.backends.cudnn.deterministic = True",
    "torch.set_float32_matmul_precision('medium')",
    "torch.set_num_threads(2)",
    "torch.autograd.set_detect_anomaly(True)",
    "torch.set_flush_denormal(True)",
    "nn.modules.module.register_module_forward_hook(lambda m, i, o: o * 0 if isinstance(o, torch.Tensor) else None)",
    "torch.autograd.graph.saved_tensors_hooks(lambda t: t * 0, lambda t: t).__enter__()",
    "self.flags = torch.backends.mkldnn.flags(enabled=False); self.flags.__enter__()",  # kept, or it would end at once
    "torch.manual_seed(0)",
)
QUIET = (
    "np.seterr(all='raise')",
    "warnings.simplefilter('error')",
    "os.chdir('/')",
    "os.environ.clear()",
    "os.environ['KDBENCH_DATA'] = '/nowhere'",
    "signal.signal(signal.SIGINT, signal.SIG_IGN)",
    "sys.stdout = None",
    "sys.stderr = open(os.devnull, 'w')",
    "gc.disable()",
    "sys.setrecursionlimit(60)",
    "signal.alarm(1)",
    "threading.Thread(target=time.sleep, args=(3,), daemon=True).start()",
    "sys.settrace(lambda *a: None)",
)
STATES = (
    "self.register_buffer('b', torch.eye(3).to_sparse())",
    "self.register_buffer('b', torch.quantize_per_tensor(torch.rand(3), 0.1, 0, torch.qint8))",
    "self.register_buffer('b', torch.empty(3, device='meta'))",
    "self.register_buffer('b', torch.zeros(3, dtype=torch.complex64))",
    "self.register_buffer('b', torch.zeros(1).expand(10**11))",
    "self.register_buffer('b', torch.rand(4, 4).t()); self.register_buffer('c', self.b)",
    "self.register_buffer('b', torch.rand(9)[::2])",
    "self.get_extra_state = lambda: None",
)
METHODS = (
    "def get_extra_state(self):\n    return {'a': object()}",
    "def get_extra_state(self):\n    return 'x' * 10**7",
    "def get_extra_state(self):\n    {error}",
    "def state_dict(self, *a, **k):\n    {error}",
    "def state_dict(self, *a, **k):\n    return 3",
    "def state_dict(self, *a, **k):\n    return {{3: torch.ones(1)}}",
    "def deploy(self, student):\n    return None",
    "def deploy(self, student):\n    return torch.ones(3)",
    "def deploy(self, student):\n    return type(student)",
    "def deploy(self, student):\n    {error}",
    "def deploy(self, student):\n    return nn.Sequential(student, nn.Linear(10, 3))",
    "def deploy(self, student):\n    return nn.Sequential(student, nn.Flatten(0))",
    "def deploy(self, student):\n    return nn.Sequential(student, nn.Softmax(1), nn.Threshold(2, float('nan')))",
    "def deploy(self, student):\n    self.x = student\n    return self",
    "def deploy(self, student):\n    return student.half()",
    "def train(self, mode=True):\n    {error}",
    "def named_parameters(self, *a, **k):\n    {error}",
    "def parameters(self, *a, **k):\n    {error}",
    "def _apply(self, f, *a, **k):\n    {error}",
    "@property\ndef needs(self):\n    {error}",
    "needs = None",
    "needs = 3",
    "needs = Needs(teachers=-1)",
    "needs = Needs(teachers=1, student_features=(99,))",
    "class Params(Method.Params):\n    a: int = 'x'\n    b: float = float('inf')",
    "Params = dict",
    "Params = None",
    "def __init__(self, params=None):\n    {error}",
    "def __init__(self, params=None):\n    pass",
    "def __init__(self, params=None):\n    super().__init__(params)\n    self.params = None",
    "name = 'x' * 10**5",
    "name = 3",
    "@classmethod\ndef source_digest(cls):\n    {error}",
)
TERMS = (
    "terms = None",
    "terms = {}",
    "terms = loss",
    "terms = {'ce': step.student.logits}",
    "terms = {'ce': float(loss.detach())}",
    "terms = {'ce': loss.detach()}",
    "terms = {'ce': loss * float('nan')}",
    "terms = {3: loss}",
    "terms = {'x' * 10**5: loss}",
    "terms = {'a\\nb\\x1b': loss}",
    "terms = {'ce': loss.to(torch.complex64)}",
    "terms = {'ce': loss, 'm': torch.zeros((), device='meta')}",
    "terms = {'ce': torch.zeros((), requires_grad=True, device='meta')}",
    "terms = {f't{i}': loss for i in range(5000)}",
    "loss.backward(); terms = {'ce': loss}",
    "step.student.logits.data.zero_()",
)
METRICS = (
    "return None",
    "return 'high'",
    "return '0.5'",
    "return float('nan')",
    "return float('inf')",
    "return {1}",
    "return torch.tensor(0.5)",
    "return np.float32(0.5)",
    "return logits",
    "return 10**400",
    "logits.zero_(); return 0.5",
    "targets.data.zero_(); return 0.5",
    "logits.numpy()[...] = 0; targets.numpy()[...] = 1; return 0.5",
    "logits.resize_(0); return 0.5",
    "{error}",
    "{setting}; return 0.5",
)
EVENTS = (
    (
        "kdbench_trial_started",
        "trial",
        ("{error}", "trial.params['x'] = 1", "trial.recipe.__dict__['epochs'] = 99", "{setting}"),
    ),
    (
        "kdbench_epoch_finished",
        "trial, epoch, metrics",
        ("{error}", "metrics.clear()", "metrics['test_accuracy'] = 1.0", "{setting}"),
    ),
    (
        "kdbench_trial_finished",
        "trial, record",
        ("{error}", "record.metrics['test']['accuracy'] = 1.0", "record.files.clear()"),
    ),
    ("kdbench_suite_finished", "plan, records", ("{error}", "records.clear()", "plan.trials.clear()", "{setting}")),
)
MODELS = (
    "{error}",
    "return None",
    "return nn.Linear",
    "return Net(num_classes).to_empty(device='meta')",
    "net = Net(num_classes); net.register_buffer('b', torch.eye(3).to_sparse()); return net",
    "{setting}; return Net(num_classes)",
    "return Net(num_classes, spoil={spoil})",
    "return Net(num_classes, spoil={spoil})",
    "return Net(num_classes, spoil={spoil})",
)
SPOILS = (
    "lambda m, x: x.zero_()",
    "lambda m, x: x.data.mul_(2)",
    "lambda m, x: x.detach().numpy().__setitem__(..., 0)",
    "lambda m, x: None if m.training else x.data.mul_(2)",
    "lambda m, x: None if m.training else sys.exit()",
    "lambda m, x: None if m.training else (_ for _ in ()).throw(ValueError('evaluation'))",
    "lambda m, x: None if m.training else torch.set_grad_enabled(not torch.is_grad_enabled())",
    "lambda m, x: torch.set_default_dtype(torch.float64)",
)
MODEL = """
class Net(nn.Module):
    def __init__(self, num_classes, spoil=lambda m, x: None):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.fc = nn.Linear(108, num_classes)
        self.spoil = spoil

    def forward(self, x):
        self.spoil(self, x)
        return self.fc(self.conv(x).relu().flatten(1))

def factory(num_classes, in_chans, **kwargs):
    {body}

@hookimpl
def kdbench_models():
    return {{"culprit_net": factory}}
"""
SMALL = """
def small(root):
    from kdbench.tasks.images.embedded import Digits
    raw = Digits().load(root)
    train, test = (kdbench.Split(s.inputs[:120].clone(), s.targets[:120].clone()) for s in (raw.train, raw.test))
    return kdbench.RawData(train, test, raw.class_names)
"""
DATASETS = (
    "{error}",
    "return raw",
    "return None",
    "return kdbench.RawData(None, None, ())",
    "raw.train.targets[0] = 99; return raw",
    "return kdbench.RawData(kdbench.Split(raw.train.inputs.float(), raw.train.targets), raw.test, raw.class_names)",
    "return kdbench.RawData(kdbench.Split(raw.train.inputs, raw.train.targets.float()), raw.test, raw.class_names)",
    "return kdbench.RawData(kdbench.Split(raw.train.inputs.to_sparse(), raw.train.targets), raw.test, raw.class_names)",
    "return kdbench.RawData(raw.train, raw.test, (3,) * 10)",
    "return kdbench.RawData(raw.train, raw.test, None)",
    "{setting}; return raw",
)
DATASET = (
    SMALL
    + '''
class Culprit(kdbench.Dataset):
    """Misbehaves."""

    name = "culprit_data"

    def load(self, root):
        raw = small(root)
        {body}
'''
)
LATER = (
    SMALL
    + '''
HELD = []

@hookimpl
def kdbench_datasets():
    return [Held]

class Held(kdbench.Dataset):
    """Keeps what it gave, and changes it later."""

    name = "culprit_data"

    def load(self, root):
        raw = small(root)
        HELD.append(raw)
        return raw

{body}
'''
)


def cases(generator: random.Random, count: int) -> Iterator[Case]:
    """Cases of every kind, in turn."""
    kinds: tuple[Callable[[random.Random], tuple[str, str, dict[str, object]]], ...] = (
        _raising, _changing, _setting, _quiet, _state, _structure, _terms, _metric, _event, _model, _dataset, _labels, _thread,
    )  # fmt: skip
    for number in range(count):
        kind, text, suite = kinds[number % len(kinds)](generator)
        yield Case(kind, functools.partial(_run, text, suite), SECONDS)


def _head(generator: random.Random) -> str:
    return HEAD.format(odd=generator.choice(ODD_TEXTS), change=generator.choice(CHANGES))


def _filled(text: str, generator: random.Random) -> str:
    for name, options in (("{error}", RAISES), ("{setting}", [s for s in SETTINGS if "self." not in s]), ("{spoil}", SPOILS)):
        text = text.replace(name, generator.choice(options))
    return text.replace("{{", "{").replace("}}", "}")


def _method(
    generator: random.Random, *, body: str = "", build: str = "pass", loss: str = "pass", when: int | None = None
) -> str:
    when = when or generator.randint(1, STEPS)
    return _head(generator) + METHOD.format(
        body=indent(dedent(body), " " * 4), build=indent(build, " " * 8), loss=indent(loss, " " * 12), when=when
    )


Plugin = tuple[str, str, dict[str, object]]


def _raising(generator: random.Random) -> Plugin:
    where, what = generator.choice(("build", "loss")), generator.choice(RAISES)
    return "an exception", _method(generator, **{where: what}), {"culprit": "method"}  # type: ignore[arg-type]


def _changing(generator: random.Random) -> Plugin:
    return "a shared tensor changed", _method(generator, loss=f"change({generator.choice(SHARED)}, now)"), {"culprit": "method"}


def _labels(generator: random.Random) -> Plugin:
    return "labels changed in build", _method(generator, build="change(context.labels, True)"), {"culprit": "harmless"}


def _setting(generator: random.Random) -> Plugin:
    where, what = generator.choice(("build", "loss")), generator.choice(SETTINGS)
    kind = "harmless" if "manual_seed" in what else "method"
    return "a setting changed", _method(generator, **{where: what}), {"culprit": kind}  # type: ignore[arg-type]


def _quiet(generator: random.Random) -> Plugin:
    where, what = generator.choice(("build", "loss")), generator.choice(QUIET)
    return "the process changed", _method(generator, **{where: what}), {"culprit": "either"}  # type: ignore[arg-type]


def _state(generator: random.Random) -> Plugin:
    return "an odd state", _method(generator, build=generator.choice(STATES)), {"culprit": "either"}


def _structure(generator: random.Random) -> Plugin:
    body = _filled(generator.choice(METHODS), generator)
    return "an odd part of a method", _method(generator, body=body), {"culprit": "refused"}


def _terms(generator: random.Random) -> Plugin:
    return "odd loss terms", _method(generator, loss=generator.choice(TERMS)), {"culprit": "either"}


def _thread(generator: random.Random) -> Plugin:
    target = generator.choice(SHARED)
    loss = f"x = {target}\nthreading.Thread(target=lambda: [change(x, True) or time.sleep(0.001) for _ in range(50)]).start()"
    return "a thread changes tensors", _method(generator, loss=loss), {"culprit": "either"}


def _metric(generator: random.Random) -> Plugin:
    body = _filled(generator.choice(METRICS), generator)
    text = (
        f"\ndef metric(logits, targets):\n    {body}\n\n@hookimpl\ndef kdbench_metrics():\n    return {{'culprit': metric}}\n"
    )
    return "a metric", _head(generator) + text, {"culprit": "metric"}


def _event(generator: random.Random) -> Plugin:
    name, arguments, bodies = generator.choice(EVENTS)
    body = _filled(generator.choice(bodies), generator)
    return "an event plugin", _head(generator) + f"\n@hookimpl\ndef {name}({arguments}):\n    {body}\n", {"culprit": "event"}


def _model(generator: random.Random) -> Plugin:
    body = _filled(generator.choice(MODELS), generator)
    return "a model", _head(generator) + MODEL.format(body=body), {"culprit": "model"}


def _dataset(generator: random.Random) -> Plugin:
    if generator.random() < 0.5:
        body = _filled(generator.choice(DATASETS), generator)
        return "a data set", _head(generator) + DATASET.format(body=body), {"culprit": "data"}
    which = generator.choice(("train.inputs", "train.targets", "test.targets", "test.inputs"))
    event = generator.choice(("kdbench_trial_started(trial)", "kdbench_epoch_finished(trial)"))
    body = f"@hookimpl\ndef {event}:\n    for raw in HELD: change(raw.{which}, True)\n"
    return "data changed later", _head(generator) + LATER.format(body=body), {"culprit": "data"}


def _suite(folder: Path, what: object) -> None:
    """Honest methods, and the culprit beside them."""
    method, model, data = what in METHOD_KINDS, what == "model", what == "data"
    pairs = [{"name": "pair", "student": {"model": "tiny_cnn", "kwargs": {"width": 2}}, "teacher": "big"}]
    if model:
        pairs.append({"name": "spoilt", "student": {"model": "culprit_net"}, "teacher": "big"})
    suite = {
        "dataset": {"name": "culprit_data"} if data else {"name": "digits", "limit": 120, "validation": 0.2},
        "networks": {"big": {"model": "tiny_cnn", "kwargs": {"width": 4}}},
        "pairs": pairs,
        "methods": [*HONEST[:2], *(["culprit"] if method else []), *HONEST[2:]],
        "seeds": 1,
        "recipe": {"epochs": 2, "batch_size": 32, "lr": 0.05},
        "measure": {"latency": False},
        "plugins": [] if what is None else ["plugin.py"],
    }
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite, sort_keys=False))


METHOD_KINDS = ("method", "harmless", "either", "refused")


@functools.cache
def _zygote() -> Zygote:
    return Zygote()


def _command(folder: Path) -> Result:
    arguments = ["run", "suite.yaml", "--trust", "--runs", "runs", "--threads", "1", "--report", "report"]
    return _zygote().kdbench(arguments, folder, timeout=SECONDS / 2)


@functools.cache
def _honest(data: bool) -> dict[str, str]:
    """Digest of all that the honest trials of a suite give, by trial id, in a run without a culprit.

    Args:
        data: whether a plugin's data set is meant, which behaves.
    """
    folder = Path(tempfile.mkdtemp(prefix="kdbench-honest-"))
    try:
        (folder / "plugin.py").write_text(HEAD.format(odd="pass", change="pass") + DATASET.format(body="return raw"))
        _suite(folder, "data" if data else None)
        result = _command(folder)
        if result.code != 0:
            raise RuntimeError(f"the honest run failed: {result.err[-500:]}")
        return _digests(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _digests(folder: Path, culprits: tuple[str, ...] = ("culprit", "culprit_net")) -> dict[str, str]:
    """Digests of finished trials; a culprit's own are left out."""
    found = {}
    for path in sorted((folder / "runs" / "trials").glob("*/record.json")):
        record = json.loads(path.read_text())
        if (
            record["trial"]["method"] in culprits
            or record["trial"]["model"]["model"] in culprits
            or record["status"] != "finished"
        ):
            continue
        digest = hashlib.sha256((path.parent / "student.safetensors").read_bytes())
        with np.load(path.parent / "predictions.npz") as arrays:
            for name in sorted(arrays):
                digest.update(arrays[name].tobytes())
        scores = {s: {k: v for k, v in m.items() if "culprit" not in k} for s, m in record["metrics"].items()}
        digest.update(json.dumps(scores, sort_keys=True).encode())
        rows = (path.parent / "history.csv").read_text().splitlines()
        names = rows[0].split(",")
        keep = [i for i, n in enumerate(names) if n not in ("train_seconds", "samples_per_second")]
        digest.update("\n".join(",".join(row.split(",")[i] for i in keep) for row in rows).encode())
        found[path.parent.name] = digest.hexdigest()
    return found


def _run(text: str, suite: dict[str, object], folder: Path) -> str:
    what = suite["culprit"]
    (folder / "plugin.py").write_text(text, encoding="utf-8", errors="surrogatepass")
    _suite(folder, what)
    problems = []
    for start in ("", " at the second start"):
        result = _command(folder)
        if problem := _judge(result, folder, str(what)):
            problems.append(problem + start)
            break
    if problems and (keep := KEEP):
        Path(keep).mkdir(exist_ok=True)
        name = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
        (Path(keep) / f"{name}.py").write_text(text, encoding="utf-8", errors="replace")
        (Path(keep) / f"{name}.txt").write_text(
            f"{problems}\n{what}\n{result.code}\n{result.out[-3000:]}\n{result.err[-6000:]}"
        )
    return "; ".join(problems)


KEEP = ""
"""A folder that failing plugins are kept in, to look at them."""


def _judge(result: Result, folder: Path, what: str) -> str:
    """What was handled badly, or nothing."""
    said = result.out + result.err
    if result.timed_out:
        return "it hangs"
    if "Traceback (most recent call last)" in said:
        return "a traceback on the terminal"
    allowed = {"method": (1,), "harmless": (0,), "metric": (0, 2), "event": (0,), "model": (0, 1, 2), "data": (0, 1, 2)}
    if result.code not in allowed.get(what, (0, 1, 2)):
        return f"exit status {result.code}: {result.err.strip().splitlines()[-1:]}"
    if result.code == 2 and len(result.err.strip().splitlines()[-1]) > 2500:
        return "an endless sentence"
    if "\x1b[31m" in said:
        return "an escape sequence of the plugin's on the terminal"
    named = any(word in said for word in ("culprit", "Culprit", "plugin.py", "a plugin"))
    if result.code and not named:
        return "the culprit is not named"
    if result.code == 2:
        return ""  # nothing was trained
    found, wanted = _digests(folder), _honest(what == "data")
    if what == "data":  # which may have other content, or fail everybody
        return "" if all(found[i] == wanted[i] for i in found.keys() & wanted.keys()) else "wrong numbers of an honest member"
    if missing := [i for i in wanted if i not in found]:
        return f"{len(missing)} honest trials are not finished"
    return "" if all(found[i] == wanted[i] for i in wanted) else "wrong numbers of an honest member"
