"""A stranger's plugin: classification of sentences and tagging of tokens, with data and networks of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import kdbench
from kdbench import Dataset, Metric, RawData, Split, Task, TaskData

VOCABULARY, LENGTH, PAD = 24, 9, 0


def sentences(count: int, seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """Token ids and their mask, both N×L, and a class N: whether more tokens are even than odd."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, VOCABULARY, (count, LENGTH), generator=generator)
    sizes = torch.randint(3, LENGTH + 1, (count, 1), generator=generator)
    mask = torch.arange(LENGTH) < sizes
    tokens = tokens.masked_fill(~mask, PAD)
    even = ((tokens % 2 == 0) & mask).sum(1)
    return {"tokens": tokens, "mask": mask}, (2 * even > sizes[:, 0]).long()


class Sentences(Dataset):
    """Made-up sentences with a class each."""

    name = "sentences"

    def load(self, root: Path) -> RawData:
        """Return 240 sentences to learn from and 120 for the test."""
        return RawData(Split(*sentences(240, 1)), Split(*sentences(120, 2)), ("odd", "even"))


class Tags(Dataset):
    """The same sentences with a class for each token."""

    name = "tags"

    def load(self, root: Path) -> RawData:
        """Return sentences whose tokens are tagged by what they leave when divided by three."""

        def tagged(count: int, seed: int) -> Split:
            inputs, _ = sentences(count, seed)
            return Split(inputs, (inputs["tokens"] % 3).masked_fill(~inputs["mask"], -100))

        return RawData(tagged(240, 1), tagged(120, 2), ("zero", "one", "two"))


class SentenceClassification(Task):
    """One class a sentence."""

    name = "sentence-classification"
    unit = "sentence"

    def input_spec(self, data: TaskData, preprocessing: Mapping[str, Any] | None = None) -> dict[str, int]:
        """Length and vocabulary."""
        return {"length": LENGTH, "vocabulary": VOCABULARY}

    def example(self, spec: Any, batch_size: int = 1, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Sentences without padding."""
        shape = (batch_size, spec["length"])
        tokens = torch.ones(shape, dtype=torch.int64)
        if generator is not None:
            tokens = torch.randint(1, spec["vocabulary"], shape, generator=generator)
        return {"tokens": tokens, "mask": torch.ones(shape, dtype=torch.bool)}

    def model_arguments(self, spec: Any, num_classes: int) -> dict[str, Any]:
        """What every network of sentences has to know."""
        return {"num_classes": num_classes, **spec}


def perplexity(logits: Tensor, targets: Tensor) -> float:
    """Exponential of the mean cross-entropy."""
    return float(F.cross_entropy(logits.double(), targets).exp())


class Tagging(SentenceClassification):
    """One class a token, judged by perplexity."""

    name = "tagging"
    unit = "token"
    metrics = {"perplexity": Metric("perplexity", perplexity, higher_is_better=False, percent=False)}
    primary = "perplexity"


class TinyTransformer(nn.Module):
    """Embedding, one attention block, and a classifier of sentences or tokens."""

    def __init__(self, num_classes: int, vocabulary: int, length: int, width: int = 8, tags: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.position = nn.Parameter(0.02 * torch.randn(length, width))
        self.block = Block(width)
        self.classifier = nn.Linear(width, num_classes)
        self.tags = tags

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Logits, N×C, or N×L×C for tags."""
        found = self.block(self.embed(tokens) + self.position, mask)
        if self.tags:
            return self.classifier(found)
        kept = mask[:, :, None]
        return self.classifier((found * kept).sum(1) / kept.sum(1))


class Block(nn.Module):
    """Self-attention and a perceptron, each with a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """N×L×D."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        scores = (q @ k.transpose(1, 2)) / q.shape[-1] ** 0.5
        x = x + scores.masked_fill(~mask[:, None, :], float("-inf")).softmax(-1) @ v
        return x + self.mlp(self.norm(x))


@kdbench.hookimpl
def kdbench_tasks() -> list[type[Task]]:
    return [SentenceClassification, Tagging]


@kdbench.hookimpl
def kdbench_datasets() -> list[type[Dataset]]:
    return [Sentences, Tags]


@kdbench.hookimpl
def kdbench_models() -> dict[str, Any]:
    return {"tiny_transformer": TinyTransformer}
