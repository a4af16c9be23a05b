"""Checks of the names in a suite, and of their parameters.

Names are those of methods, models, data sets, networks, optimizers and schedules.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kdbench.errors import Location, PluginError, SuiteError, cut, did_you_mean, known, located
from kdbench.method import Method, Needs
from kdbench.method.create import needs_of, params_class
from kdbench.method.guard import Guard
from kdbench.method.params import plain_data
from kdbench.paths import real_path
from kdbench.plugins.manager import Registry
from kdbench.suite.explain import plain
from kdbench.suite.load import LoadedSuite, is_file
from kdbench.suite.schema import MethodEntry, Network, Pair, Recipe, Suite
from kdbench.suite.size import check_chains, check_size
from kdbench.suite.spelling import spelling_at
from kdbench.suite.tuning import search_of

SCHEDULES = ("constant", "cosine", "multistep", "poly", "step", "tanh")
"""Schedules of timm that depend only on the number of steps taken.

With these, a resumed run continues exactly.
"""


LONGEST_NAME = 255
"""Maximum length of a file's name in bytes, on all common file systems."""

LONGEST_PATH = 1000
"""Maximum length of a plugin file's path in bytes."""


def plugin_files(loaded: LoadedSuite) -> tuple[list[Path], dict[str, Location]]:
    """Return the plugin files that a suite names, and where it names them.

    Raises:
        PluginError: a name is that of a folder, or too long.
    """
    files = []
    for index, name in enumerate(loaded.suite.plugins):
        files.append(Path(os.path.realpath(loaded.folder / name)))
        lengths = [len(os.fsencode(part)) for part in files[-1].parts]
        if os.path.isdir(files[-1]) or max(lengths) > LONGEST_NAME or sum(lengths) > LONGEST_PATH:
            raise PluginError(f"plugin file {cut(name)} is not a file", loaded.locations.of("plugins", index))
    return files, {str(f): loaded.locations.of("plugins", i) for i, f in enumerate(files)}


def anchored(loaded: LoadedSuite) -> Suite:
    """Return the suite with absolute paths of plugins and weights."""
    suite, folder = loaded.suite, loaded.folder

    def network(reference: Any) -> Any:
        if not isinstance(reference, Network) or reference.weights in ("scratch", "pretrained"):
            return reference
        return reference.model_copy(update={"weights": str(real_path(folder / reference.weights))})

    def pair(given: Pair) -> Pair:
        changes = {"student": network(given.student), "teacher": network(given.teacher)}
        return given.model_copy(update={**changes, "teachers": tuple(map(network, given.teachers))})

    def entry(given: MethodEntry) -> MethodEntry:
        return given.model_copy(update={"assistants": tuple(map(network, given.assistants))})

    return suite.model_copy(
        update={
            "networks": {name: network(given) for name, given in suite.networks.items()},
            "pairs": tuple(map(pair, suite.pairs)),
            "methods": tuple(map(entry, suite.methods)),
            "plugins": tuple(str(real_path(folder / name)) for name in suite.plugins),
        }
    )


def network_of(suite: Suite, reference: str | Network) -> Network:
    """Return the network that a reference in a pair or an assistant means.

    It is one of ``networks:``, or a model with default settings.
    """
    if isinstance(reference, Network):
        return reference
    return suite.networks.get(reference) or Network(model=reference)


def teachers_of(pair: Pair) -> tuple[str | Network, ...]:
    """Return a pair's teachers, whether given as ``teacher:`` or as ``teachers:``."""
    return (pair.teacher,) if pair.teacher is not None else pair.teachers


def pair_name(pair: Pair) -> str:
    """Return the pair's name; by default it is made of its networks' names."""
    if pair.name is not None:
        return pair.name

    def short(reference: str | Network) -> str:
        return reference if isinstance(reference, str) else reference.model

    return f"{short(pair.student)}<-{'+'.join(map(short, teachers_of(pair))) or 'nobody'}"


def entries_by_pair(suite: Suite) -> dict[str, list[MethodEntry]]:
    """Return the method entries that are used on each pair, by its name."""
    found: dict[str, list[MethodEntry]] = {pair_name(pair): [] for pair in suite.pairs}
    for entry in suite.methods:
        for name in dict.fromkeys(entry.pairs) or found:
            found[name].append(entry)
    return found


def entry_name(entry: MethodEntry) -> str:
    """Return the entry's name; by default the method's."""
    return entry.name or entry.method


def resolve(loaded: LoadedSuite, registry: Registry, model_names: Callable[[], Iterable[str]]) -> LoadedSuite:
    """Check every name and parameter of a suite.

    Args:
        loaded: the suite.
        registry: the known methods and data sets.
        model_names: returns all model names; called only if one is needed.

    Returns:
        The same suite.

    Raises:
        SuiteError: a name is unknown or a value is out of range; the message says where, and gives the
            nearest valid spelling.
        PluginError: a task, a method or a data set is unknown; the message says the same.
    """
    _Resolver(loaded, registry, model_names).check()
    return loaded


class _Resolver:
    def __init__(self, loaded: LoadedSuite, registry: Registry, model_names: Callable[[], Iterable[str]]) -> None:
        self.suite = loaded.suite
        self.folder = loaded.folder
        self.locations = loaded.locations
        self.at = loaded.locations.of
        self.registry = registry
        self._model_names = model_names
        self._models: set[str] | None = None
        self._pair_names: dict[str, int] = {}  # with indices
        from timm.optim import list_optimizers  # after the first checks: it takes seconds

        self._optimizers = frozenset(list_optimizers())
        # Entries may have been removed (--only) or added (the baseline) after loading, so their locations are
        # looked up by name.
        self._entry_index = _indices(loaded)

    def check(self) -> None:
        """Run all checks, in the order of the keys in a typical file."""
        check_size(self.suite, lambda entry: self._entry_index.get(entry_name(entry), [0])[0], self.at)
        self.task = self._find("task", self.registry.tasks, self.suite.task, self.at("task"))
        self._dataset()
        self._recipe(self.suite.recipe, "recipe")
        for name, network in self.suite.networks.items():
            self._network(network, "networks", name)
        check_chains(self.suite, self.at)
        self._pairs()
        self._methods()
        self._tuning()

    @property
    def models(self) -> set[str]:
        """All model names."""
        if self._models is None:
            self._models = set(self._model_names())
        return self._models

    def _dataset(self) -> None:
        spec = self.suite.dataset
        cls = self._find("data set", self.registry.datasets, spec.name, self.at("dataset", "name"))
        self._validate(cls.Options, spec.options, "dataset", "options")

    def _recipe(self, recipe: Recipe, *path: str | int) -> None:
        if recipe.optimizer.lower() not in self._optimizers:
            hint = did_you_mean(recipe.optimizer, self._optimizers)
            raise SuiteError(f'unknown optimizer "{cut(recipe.optimizer)}"{hint}', self.at(*path, "optimizer"))
        if recipe.schedule not in SCHEDULES:
            hint = did_you_mean(recipe.schedule, SCHEDULES) or f"; known are {', '.join(SCHEDULES)}"
            raise SuiteError(f'unknown schedule "{cut(recipe.schedule)}"{hint}', self.at(*path, "schedule"))
        self._validate(self.task.Augmentation, recipe.augmentation, *path, "augmentation")

    def _network(self, network: Network, *path: str | int) -> None:
        base = network.model.partition(".")[0]  # timm's names may have a pretrained tag
        elsewhere = network.model.startswith("hf-hub:")
        if network.model not in self.models and base not in self.models and not elsewhere:
            hint = did_you_mean(network.model, self.models) or "; kdbench list models shows all"
            raise SuiteError(f'unknown model "{cut(network.model)}"{hint}', self.at(*path, "model"))
        self._weights(network, *path)
        recipe = self._validate(
            Recipe, {**self.suite.recipe.model_dump(), **network.recipe}, *path, "recipe", known=network.recipe
        )
        self._recipe(recipe, *path, "recipe")
        self._validate(self.task.Preprocessing, network.preprocessing or {}, *path, "preprocessing")
        method = self._method(network.method, network.params, self.at(*path, "method"), *path)
        for index, teacher in enumerate(network.teachers):
            if teacher not in self.suite.networks:
                hint = did_you_mean(teacher, self.suite.networks) or "; a network's teachers must be listed in networks:"
                raise SuiteError(f'unknown network "{cut(teacher)}"{hint}', self.at(*path, "teachers", index))
        self._enough(method, len(network.teachers), f'network "{path[-1]}"', self.at(*path, "method"))

    def _weights(self, network: Network, *path: str | int) -> None:
        if network.weights not in ("scratch", "pretrained") and not is_file(self.folder / network.weights):
            hint = did_you_mean(network.weights, ["scratch", "pretrained"])
            raise SuiteError(
                f'weights "{cut(network.weights)}" is neither scratch, nor pretrained, nor a file{hint}',
                self.at(*path, "weights"),
            )

    def _pairs(self) -> None:
        names = self._pair_names
        for index, pair in enumerate(self.suite.pairs):
            if pair.teacher is not None and pair.teachers:
                raise SuiteError("a pair has either teacher or teachers, not both", self.at("pairs", index, "teachers"))
            self._reference(pair.student, "pairs", index, "student")
            if pair.teacher is not None:
                self._reference(pair.teacher, "pairs", index, "teacher")
            for number, teacher in enumerate(pair.teachers):
                self._reference(teacher, "pairs", index, "teachers", number)
            name = pair_name(pair)
            if name in names:
                other = self.locations.reference("pairs", names[name])
                raise SuiteError(f'two pairs are called "{cut(name)}", the other {other}', self.at("pairs", index, "name"))
            names[name] = index

    def _reference(self, reference: str | Network, *path: str | int) -> None:
        if isinstance(reference, Network):
            self._network(reference, *path)
        elif (
            reference not in self.suite.networks
            and reference not in self.models
            and reference.partition(".")[0] not in self.models
        ):
            hint = did_you_mean(reference, [*self.suite.networks, *self.models]) or "; kdbench list models shows all models"
            raise SuiteError(f'unknown network or model "{cut(reference)}"{hint}', self.at(*path))

    def _methods(self) -> None:
        names: dict[str, int] = {}
        for entry in self.suite.methods:
            index = self._entry_index.get(entry_name(entry), [0])[0]
            path = ("methods", index)
            location = self.at(*path, "method")
            name = entry_name(entry)
            if name in names:
                index = self._entry_index[name][-1]
                other = f"the other {self.locations.reference('methods', names[name])}"
                if len(self._entry_index[name]) == 1:
                    other = "the other is the plain student, which every suite includes"
                raise SuiteError(
                    f'two method entries are called "{cut(name)}", {other}; give one a name: of its own',
                    self.at("methods", index, "name"),
                )
            names[name] = index
            method = self._method(entry.method, entry.params, location, *path)
            for parameter, values in entry.grid.items():
                for number, value in enumerate(values):
                    self._params(
                        type(method),
                        {**entry.params, parameter: value},
                        *path,
                        "grid",
                        known={parameter: value},
                        deeper=(parameter, number),
                    )
                if not values:
                    raise SuiteError(f"the grid of {parameter} is empty", self.at(*path, "grid", parameter))
            self._search(entry, type(method), *path)
            for number, assistant in enumerate(entry.assistants):
                self._reference(assistant, *path, "assistants", number)
            if (entry.generations or entry.assistants) and (method.needs.teachers != 1):
                what = "generations" if entry.generations else "assistants"
                raise SuiteError(f'{what} need a method with exactly one teacher, and "{entry.method}" takes '
                                 f"{method.needs.teachers}", self.at(*path, what))  # fmt: skip
            if entry.generations and entry.assistants:
                raise SuiteError("an entry has either generations or assistants, not both", self.at(*path, "assistants"))
            self._entry_pairs(entry, method, location, *path)

    def _tuning(self) -> None:
        """Check that methods can be tuned, and that recipes take the ends of ranges."""
        tuning = self.suite.tuning
        if tuning is None:
            return
        if tuning.seed in self.suite.seeds:
            raise SuiteError(
                f"seed {tuning.seed} is one of the final trials' seeds: draws need another one, so that their luck is not "
                "counted twice",
                self.at("tuning", "seed"),
            )
        if not self.suite.dataset.validation:
            raise SuiteError("tuning needs a validation set: give a fraction above 0", self.at("dataset", "validation"))
        for key, given in tuning.recipe.items():
            for end in search_of(given).ends if given is not None else ():
                self._validate(Recipe, {key: end}, "tuning", "recipe", known={key: end})

    def _search(self, entry: MethodEntry, cls: type[Method], *path: str | int) -> None:
        """Check that an entry's ranges are of parameters that take their ends."""
        for name, given in entry.search.items():
            for end in search_of(given).ends:
                values = {**entry.params, name: end}
                self._params(cls, values, *path, "search", known={name: end}, deeper=(name,))
        if entry.grid and self.suite.tuning is not None:
            raise SuiteError(
                "a tuned suite has no grids, because every method gets the same number of draws: write "
                f"search: {{{next(iter(entry.grid))}: {{choices: […]}}}} instead",
                self.at(*path, "grid"),
            )

    def _entry_pairs(self, entry: MethodEntry, method: Method, location: Location, *path: str | int) -> None:
        """Check that an entry's pairs exist and have enough teachers."""
        for number, wanted in enumerate(entry.pairs):
            if wanted not in self._pair_names:
                hint = did_you_mean(wanted, self._pair_names) or known(self._pair_names)
                raise SuiteError(f'unknown pair "{cut(wanted)}"{hint}', self.at(*path, "pairs", number))
        if entry.generations:
            return
        for name in entry.pairs or self._pair_names:
            pair = self.suite.pairs[self._pair_names[name]]
            self._enough(method, len(teachers_of(pair)), f'pair "{cut(name)}"', location)

    def _method(self, name: str, params: Mapping[str, Any], location: Location, *path: str | int) -> Method:
        cls = self._find("method", self.registry.methods, name, location)
        checked = self._params(cls, params, *path, "params")
        with located(location):
            with Guard().calling(f'method "{cls.name}"', "__init__"):
                method: Method = cls(checked)
            needs_of(method)
        return method

    def _params(
        self,
        cls: type[Method],
        params: Mapping[str, Any],
        *path: str | int,
        known: Mapping[str, Any] | None = None,
        deeper: tuple[str | int, ...] = (),
    ) -> Any:
        with located(self.at(*path)):
            model = params_class(cls)
        found = self._validate(model, params, *path, known=known, deeper=deeper, what=f'of method "{cls.name}"')
        try:
            plain_data(found)
        except ValueError as error:
            raise SuiteError(f'{error} of method "{cls.name}"', self.at(*path, *deeper)) from error
        return found

    def _validate(
        self,
        model: type[Any],
        values: Mapping[str, Any],
        *path: str | int,
        known: Mapping[str, Any] | None = None,
        deeper: tuple[str | int, ...] = (),
        what: str = "",
    ) -> Any:
        """Validate the values at a path.

        Only those in ``known`` (all by default) were written there; the value of a grid was written at
        ``deeper`` below it.
        """
        try:
            with Guard().calling(what.removeprefix("of ") or "the plugin", "Params", passing=(ValidationError,)):
                return model.model_validate(dict(values))
        except ValidationError as error:
            findings = error.errors(include_url=False)[:100]
            mine = [f for f in findings if known is None or f["loc"][:1] == () or f["loc"][0] in known] or findings
            finding = min(mine, key=lambda f: f["type"] != "extra_forbidden")  # a misspelt key explains a missing one
            inside = deeper if deeper[:1] == finding["loc"][:1] else finding["loc"]
            location = self.at(*path, *inside)
            if finding["type"] == "extra_forbidden":
                raise SuiteError(_unknown(model, finding["loc"], what), location) from error
            name = ".".join(map(str, (*path, *inside)))
            start = " ".join(part for part in ("" if name == str(location) else name, what) if part)
            said = plain(finding).removeprefix("value error, ")
            raise SuiteError(f"{start}: {said}" if start else said, location) from error
        except Exception as error:
            said = f"{type(error).__name__}: {cut(str(error))}"
            raise PluginError(f"{model.__qualname__} cannot check its values: {said}", self.at(*path)) from error

    def _enough(self, method: Method, given: int, who: str, location: Location) -> None:
        needs: Needs = method.needs
        if given < needs.teachers:
            least = "at least " if needs.more_teachers else ""
            raise SuiteError(
                f'method "{method.name}" needs {least}{needs.teachers} teacher{"s" * (needs.teachers != 1)}, but {who} has {given}',
                location,
            )

    def _find(self, kind: str, table: Mapping[str, Any], name: str, location: Location) -> Any:
        return self.registry.find(kind, table, name, location)


def _unknown(model: type[Any], path: tuple[str | int, ...], what: str) -> str:
    """Say that a key is unknown, and which is near."""
    *inside, key = path
    around = spelling_at(model, inside).model
    fields = list(around.model_fields) if around else []
    hint = did_you_mean(str(key), fields) or known(fields)
    return f'unknown {"parameter" if what else "key"} "{key}" {what}{hint}'.replace(" ;", ";")


def _indices(loaded: LoadedSuite) -> dict[str, list[int]]:
    """Return the indices of method entries as written, by name.

    They may differ from the indices in the suite.
    """
    found: dict[str, list[int]] = {}
    for index, name in enumerate(loaded.written):
        found.setdefault(name, []).append(index)
    return found
