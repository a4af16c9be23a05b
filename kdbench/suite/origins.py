"""The origins of recipes and models in a suite, for errors found in trials."""

from __future__ import annotations

from collections.abc import Iterator

from kdbench.errors import Location
from kdbench.seeding import canonical_json
from kdbench.suite.load import LoadedSuite
from kdbench.suite.resolve import entry_name, network_of
from kdbench.suite.schema import ModelSpec, Network, Recipe

Keys = tuple[str | int, ...]


def written_networks(loaded: LoadedSuite) -> Iterator[tuple[Keys, Network]]:
    """Yield every network of a suite with the keys that lead to it."""
    suite = loaded.suite
    yield from ((("networks", name), network) for name, network in suite.networks.items())
    references: list[tuple[Keys, str | Network]] = []
    for index, pair in enumerate(suite.pairs):
        references.append((("pairs", index, "student"), pair.student))
        if pair.teacher is not None:
            references.append((("pairs", index, "teacher"), pair.teacher))
        references += [(("pairs", index, "teachers", n), teacher) for n, teacher in enumerate(pair.teachers)]
    for entry in suite.methods:
        name = entry_name(entry)
        index = loaded.written.index(name) if name in loaded.written else 0
        references += [(("methods", index, "assistants", n), given) for n, given in enumerate(entry.assistants)]
    for path, reference in references:
        if isinstance(reference, Network) or reference not in suite.networks:
            yield path, network_of(suite, reference)


class Origins:
    """The locations that the recipes and models of trials come from.

    Args:
        loaded: the suite.
    """

    def __init__(self, loaded: LoadedSuite) -> None:
        suite = loaded.suite
        self._at = loaded.locations.of
        self._recipes: dict[str, Keys] = {_recipe(suite.recipe): ("recipe",)}
        self._models: dict[str, Keys] = {}
        for path, network in written_networks(loaded):
            merged = Recipe(**{**suite.recipe.model_dump(), **network.recipe})
            self._recipes.setdefault(_recipe(merged), (*path, "recipe"))
            self._models.setdefault(_model(network), path)

    def of_recipe(self, recipe: Recipe) -> Location:
        """Return the location of a trial's recipe.

        It is that of the suite, or of the first network with this recipe.
        """
        return self._at(*self._recipes.get(_recipe(recipe), ("recipe",)))

    def of_model(self, model: ModelSpec) -> Location:
        """Return the location of the first network with a trial's model."""
        return self._at(*self._models.get(_model(model), ("networks",)))


def _recipe(recipe: Recipe) -> str:
    # A trial's augmentation has a form of its own, with defaults.
    return canonical_json(recipe.model_dump(mode="json", exclude={"augmentation"}))


def _model(model: ModelSpec) -> str:
    return canonical_json(model.model_dump(mode="json", include={"model", "kwargs", "stem"}))
