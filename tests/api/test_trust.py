"""Code that a suite names runs only if somebody allowed it: by an option, by an answer, or by naming the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import kdbench
from kdbench.api.trust import require_trust
from kdbench.errors import SuiteError
from kdbench.suite.load import LoadedSuite, load_suite
from tests.support import small

PLUGIN = """\
from pathlib import Path
Path(__file__).with_suffix(".ran").touch()
from kdbench import Method
class Mine(Method):
    '''Mine.'''
"""


@pytest.fixture(autouse=True)
def _configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("KDBENCH_TRUST", raising=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(PLUGIN)
    return small.write_suite(tmp_path, plugins=["mine.py"])


@pytest.fixture
def loaded(path: Path) -> LoadedSuite:
    return load_suite(path)


def ran(path: Path) -> bool:
    return path.with_name("mine.ran").exists()


def answering(answer: str, asked: list[str]) -> Any:
    def ask(question: str) -> str:
        asked.append(question)
        return answer

    return ask


def test_without_a_word_a_suite_s_code_does_not_run(path: Path, kdbench_command: Any, tmp_path: Path) -> None:
    for command in ("plan", "run"):
        outcome = kdbench_command(command, path, "--runs", tmp_path / "runs")
        assert outcome.status == 2
        assert re.search(rf"small\.yaml:\d+: this suite runs code .*{path.with_name('mine.py')}; .* --trust", outcome.err)
        assert len([line for line in outcome.err.splitlines() if " loading " not in line]) == 1
    with pytest.raises(SuiteError, match="trust=True"):
        kdbench.run(path, runs=tmp_path / "runs")
    with pytest.raises(SuiteError, match="trust=True"):
        kdbench.run(kdbench.load_suite(path), runs=tmp_path / "runs")
    assert not ran(path)


@pytest.mark.parametrize("how", ["--trust", "KDBENCH_TRUST", "--plugin"])
def test_an_option_allows_it(
    how: str, path: Path, kdbench_command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more: tuple[Any, ...] = {"--trust": ("--trust",), "--plugin": ("--plugin", path.with_name("mine.py"))}.get(how, ())
    if not more:
        monkeypatch.setenv(how, "1")
    assert kdbench_command("plan", path, "--runs", tmp_path / "runs", *more).status == 0
    assert ran(path)


def test_what_a_python_caller_writes_is_trusted(loaded: LoadedSuite, path: Path, tmp_path: Path) -> None:
    raw = {
        **loaded.suite.model_dump(exclude_unset=True),
        "plugins": [str(path.with_name("mine.py"))],
        "methods": ["supervised"],
    }
    raw |= {"pairs": [{"student": "tiny_cnn"}], "networks": {}, "recipe": {"epochs": 0}}
    kdbench.run(raw, runs=tmp_path / "runs", progress=False)
    assert ran(path)


def test_a_yes_is_remembered_until_the_file_changes(loaded: LoadedSuite, path: Path) -> None:
    asked: list[str] = []
    require_trust(loaded, ask=answering("y\n", asked))
    assert str(path.with_name("mine.py")) in asked[0]
    require_trust(loaded)
    path.with_name("mine.py").write_text(PLUGIN + "# changed\n")
    with pytest.raises(SuiteError):
        require_trust(loaded)


def test_a_helper_module_beside_the_file_counts_too(loaded: LoadedSuite, path: Path) -> None:
    path.with_name("mine.py").write_text("import helper_of_mine\n" + PLUGIN)
    helper = path.with_name("helper_of_mine.py")
    helper.write_text("x = 1\n")
    require_trust(loaded, ask=answering("yes", []))
    require_trust(loaded)
    helper.write_text("x = 2\n")
    with pytest.raises(SuiteError):
        require_trust(loaded)


def test_always_is_for_an_author_who_changes_the_file_all_day(loaded: LoadedSuite, path: Path) -> None:
    asked: list[str] = []
    for change in range(3):
        path.with_name("mine.py").write_text(f"{PLUGIN}# change {change}\n")
        require_trust(loaded, ask=answering("a", asked))
    assert len(asked) == 1


@pytest.mark.parametrize("answer", ["", "n", "no", "later"])
def test_anything_else_is_a_no_and_not_remembered(answer: str, loaded: LoadedSuite) -> None:
    asked: list[str] = []
    for _ in range(2):
        with pytest.raises(SuiteError):
            require_trust(loaded, ask=answering(answer, asked))
    assert len(asked) == 2


def test_one_trusted_file_does_not_vouch_for_another(path: Path, loaded: LoadedSuite) -> None:
    require_trust(loaded, ask=answering("a", []))
    path.with_name("other.py").write_text(PLUGIN)
    both = load_suite(path, settings=["plugins=[mine.py, other.py]"])
    with pytest.raises(SuiteError, match=r"other\.py"):
        require_trust(both)


def test_a_link_is_what_it_points_to(path: Path, loaded: LoadedSuite) -> None:
    require_trust(loaded, ask=answering("a", []))
    path.with_name("evil.py").write_text(PLUGIN)
    path.with_name("mine.py").unlink()
    path.with_name("mine.py").symlink_to("evil.py")
    with pytest.raises(SuiteError, match=r"evil\.py"):
        require_trust(load_suite(path))


def test_a_damaged_memory_remembers_nothing(loaded: LoadedSuite, tmp_path: Path) -> None:
    require_trust(loaded, ask=answering("a", []))
    (tmp_path / "config" / "kdbench" / "trusted.json").write_text("[" * 10_000)
    with pytest.raises(SuiteError):
        require_trust(loaded)


def test_suites_without_code_ask_nothing(tmp_path: Path) -> None:
    asked: list[str] = []
    for suite in ("digits", small.write_suite(tmp_path)):
        require_trust(load_suite(suite), ask=answering("n", asked))
    assert not asked
