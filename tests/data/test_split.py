from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from kdbench.data.split import stratified_cut


@given(labels=st.lists(st.integers(0, 5), min_size=1, max_size=60), seed=st.integers(0, 2**31), share=st.floats(0, 1))
def test_each_class_keeps_its_share_to_within_one_sample(labels: list[int], seed: int, share: float) -> None:
    targets = torch.tensor(labels)
    size = round(share * len(labels))
    chosen, rest = stratified_cut(targets, size, "test", seed)
    assert len(chosen) == size
    assert sorted([*chosen.tolist(), *rest.tolist()]) == list(range(len(labels)))
    assert chosen.tolist() == sorted(chosen.tolist())
    assert rest.tolist() == sorted(rest.tolist())
    for label in set(labels):
        exact = size * labels.count(label) / len(labels)
        assert abs(int((targets[chosen] == label).sum()) - exact) < 1


def test_seeds_and_purposes_give_different_cuts() -> None:
    targets = torch.arange(100) % 4
    cuts = [stratified_cut(targets, 20, p, s)[0].tolist() for p, s in (("a", 0), ("a", 1), ("b", 0), ("a", 0))]
    assert cuts[0] == cuts[3]
    assert len({tuple(c) for c in cuts}) == 3


def test_cuts_are_the_same_on_every_machine() -> None:
    chosen, _ = stratified_cut(torch.arange(40) % 4, 8, "validation", 0)
    assert chosen.tolist() == [7, 14, 16, 20, 22, 23, 25, 33]


def test_ties_are_drawn_and_do_not_favour_the_first_classes() -> None:
    targets = torch.arange(100) % 10
    drawn = {int(targets[i]) for seed in range(40) for i in stratified_cut(targets, 3, "limit", seed)[0]}
    assert drawn == set(range(10))
