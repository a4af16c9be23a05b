"""What an epoch costs: the resident stream, normalised, against a DataLoader with per-sample torchvision transforms.

Run with ``pytest benchmarks/bench_stream.py --benchmark-enable -s``. Times on a shared machine mean little; the ratio within one
run is what counts: the two take turns, and the ratio is that of their fastest rounds. The stream has one thread, so that other
processes cannot stall it; the loader has the same one, or as many processes as it has workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms.functional import to_pil_image

from kdbench.data.types import Split, TaskData
from kdbench.tasks.images.classification import ImageClassification
from kdbench.tasks.stream import StreamSettings

TASK = ImageClassification()
BATCH = 128
ROUNDS = 3
COUNT, LOADER_COUNT = 12_800, 2_560
"""Samples of a round of each; costs are compared per sample, and the loader is slow."""
GOAL = 10


class _PerSample(Dataset[tuple[torch.Tensor, int]]):
    """Images one by one, the way that tutorials do it."""

    def __init__(self, data: TaskData, count: int) -> None:
        self.images = [to_pil_image(image) for image in data.train.inputs[:count]]
        self.targets = data.train.targets[:count].tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, 4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(data.statistics["mean"].tolist(), data.statistics["std"].tolist()),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[index]), self.targets[index]


def _task() -> TaskData:
    inputs = torch.randint(256, (COUNT, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    train = Split(inputs, torch.arange(COUNT) % 10)
    return TaskData("cifar10-shaped", train, train, train, tuple("0123456789"), "0" * 16, TASK.statistics(train))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _seconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


@pytest.mark.parametrize("channels_last", [True, False], ids=["channels_last", "contiguous"])
@pytest.mark.parametrize("workers", [0, 2])
def test_resident_stream_against_data_loader(benchmark: BenchmarkFixture, workers: int, channels_last: bool) -> None:
    data = _task()
    cpu = torch.device("cpu")
    settings = StreamSettings(
        batch_size=BATCH,
        drop_last=True,
        augmentation={"crop_padding": 4, "flip": True},
        sampler="shuffle",
        seed=0,
        device=cpu,
        channels_last=channels_last,
    )
    stream = TASK.stream(data, settings)
    preprocess = TASK.preprocess(data, None, device=cpu, channels_last=channels_last)
    per_sample = _PerSample(data, LOADER_COUNT)
    loader = DataLoader(per_sample, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    sum(1 for _ in loader)  # workers start

    loaded: list[float] = []

    def turn() -> tuple[tuple[int], dict[str, int]]:
        loaded.append(_seconds(lambda: sum(1 for _ in loader)) / LOADER_COUNT)
        return (len(loaded),), {}

    def epoch(e: int) -> int:
        return sum(len(preprocess(batch.inputs)) for batch in stream.epoch(e))

    benchmark.pedantic(epoch, setup=turn, rounds=ROUNDS)
    if not benchmark.enabled:
        return
    streamed = benchmark.stats.stats.min / stream.samples_per_epoch
    ratio = min(loaded) / streamed
    benchmark.extra_info.update(ratio=ratio, loader_us=min(loaded) * 1e6, stream_us=streamed * 1e6)
    print(
        f"\nDataLoader with {workers} workers: {min(loaded) * 1e6:.0f} µs a sample,"
        f" resident stream {streamed * 1e6:.1f} µs: {ratio:.0f} times less (goal: {GOAL})"
    )
    assert ratio >= GOAL
