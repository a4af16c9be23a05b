"""What each command does for its user."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import small
from tests.support.environment import unmeasured

METHOD = textwrap.dedent('''
    """A stranger's plugin."""

    from torch.nn import functional as F

    from kdbench import Method, Needs, PositiveFloat


    class Mine(Method):
        """Half of the teacher's probabilities."""

        family = "logit"
        needs = Needs(teachers=1)

        class Params(Method.Params):
            weight: PositiveFloat = 0.5

        def loss(self, step):
            soft = F.mse_loss(step.student.logits.softmax(1), step.teacher.logits.softmax(1))
            return {"ce": F.cross_entropy(step.student.logits, step.targets), "soft": self.params.weight * soft}
''')


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_run_ends_in_a_leaderboard_and_redoes_nothing(kdbench_command: Any, here: Path) -> None:
    small.write_suite(here)
    first = kdbench_command("run", "small.yaml")
    assert first.status == 0, first.err
    assert "kd" in first.out
    assert "runs/reports/small/leaderboard.md" in first.out
    assert "kd" in Path("runs/reports/small/leaderboard.md").read_text()
    again = kdbench_command("run", "small.yaml")
    assert again.status == 0
    assert "epoch" not in again.err  # nothing trains
    assert "0 trials run now" in again.out
    assert again.out.split("0 trials")[0] == first.out.split(" trials run now")[0].rsplit("\n", 1)[0] + "\n"


def test_fresh_runs_again(kdbench_command: Any, here: Path) -> None:
    small.write_suite(here)
    kdbench_command("run", "small.yaml")
    before = small.bits(here / "runs")
    assert "4 trials run now, 0 were finished before" in kdbench_command("run", "small.yaml", "--fresh").out
    assert small.bits(here / "runs") == before


def test_plan_runs_nothing_and_says_what_is_done(kdbench_command: Any, here: Path) -> None:
    small.write_suite(here)
    before = kdbench_command("plan", "small.yaml")
    assert before.status == 0
    assert before.out.count("to do") == 4
    assert "TMACs" in before.out
    assert not (here / "runs").exists()
    kdbench_command("run", "small.yaml")
    assert kdbench_command("plan", "small.yaml").out.count("finished") >= 4


def test_a_method_is_one_new_file(kdbench_command: Any, here: Path) -> None:
    (here / "mine.py").write_text(METHOD)
    small.write_suite(here, methods=["mine"])
    outcome = kdbench_command("run", "small.yaml", "--plugin", "mine.py")
    assert outcome.status == 0, outcome.err
    assert "mine" in outcome.out
    checked = kdbench_command("check", "mine.py")
    assert checked.status == 0, checked.out
    assert "mine (logit)" in checked.out


def test_check_exits_1_on_a_broken_method(kdbench_command: Any, here: Path) -> None:
    (here / "mine.py").write_text(
        METHOD.replace("step.teacher.logits.softmax(1)", "step.teacher.logits.softmax_(1)", 1).replace("softmax_(1)", "mul_(2)")
    )
    outcome = kdbench_command("check", "mine.py")
    assert outcome.status == 1
    assert "FAIL" in outcome.out


def test_a_changed_method_makes_its_records_stale_and_the_run_says_so(kdbench_command: Any, here: Path) -> None:
    (here / "mine.py").write_text(METHOD)
    small.write_suite(here, methods=["mine"])
    kdbench_command("run", "small.yaml", "--plugin", "mine.py")
    (here / "mine.py").write_text(METHOD + "\n# changed\n")
    again = kdbench_command("run", "small.yaml", "--plugin", "mine.py")
    assert "0 trials run now" in again.out
    assert "mine" in next(line for line in again.err.splitlines() if "other versions" in line)


def test_report_makes_the_same_bytes_again(kdbench_command: Any, here: Path) -> None:
    small.write_suite(here)
    kdbench_command("run", "small.yaml")
    kdbench_command("report", "small", "--out", "again", "--format", "md,csv")
    for name in ("leaderboard.md", "leaderboard.csv"):
        assert (here / "again" / name).read_bytes() == (here / "runs/reports/small" / name).read_bytes()


def test_report_renews_a_readme_between_its_markers(kdbench_command: Any, here: Path) -> None:
    small.write_suite(here)
    kdbench_command("run", "small.yaml")
    readme = here / "README.md"
    readme.write_text("# Mine\n\n<!-- kdbench:leaderboard small -->\n<!-- /kdbench:leaderboard small -->\n\nend")
    assert kdbench_command("report", "small", "--readme", "README.md", "--check").status == 1
    assert kdbench_command("report", "small", "--readme", "README.md").status == 0
    assert "| kd" in readme.read_text()
    assert readme.read_text().startswith("# Mine\n\n")
    assert readme.read_text().endswith("\n\nend")
    assert kdbench_command("report", "small", "--readme", "README.md", "--check").status == 0


def test_show_prints_a_methods_formula_and_where_tuning_looks(kdbench_command: Any, here: Path) -> None:
    shown = kdbench_command("show", "at")
    assert shown.status == 0, shown.err
    assert "arXiv:1612.03928" in shown.out
    assert "L = CE(z_s, y) + β" in shown.out
    (line,) = [line.split() for line in shown.out.splitlines() if line.startswith("beta")]
    assert line[1:6] == ["1000", "1", "to", "1000", "(log)"]
    wrong = kdbench_command("show", "kdd")
    assert (wrong.status, 'did you mean "kd"' in wrong.err) == (2, True)


def test_show_and_check_take_a_strangers_range(kdbench_command: Any, here: Path) -> None:
    text = METHOD.replace("weight: PositiveFloat = 0.5", "weight: Annotated[PositiveFloat, Search.log(1, 10)] = 0.5")
    text = text.replace("Needs, PositiveFloat", "Needs, PositiveFloat, Search").replace(
        "from torch.nn", "from typing import Annotated\n\nfrom torch.nn"
    )
    (here / "mine.py").write_text(text)
    shown = kdbench_command("show", "mine", "--plugin", "mine.py")
    assert "1 to 10 (log)" in shown.out, shown.err
    checked = kdbench_command("check", "mine.py")
    assert checked.status == 1
    assert "the default of weight, 0.5, lies outside its search range, 1 to 10 (log)" in checked.out


@pytest.mark.parametrize("kind", ["methods", "models", "datasets", "suites"])
def test_list_names_what_a_suite_may_say(kdbench_command: Any, kind: str) -> None:
    outcome = kdbench_command("list", kind)
    assert outcome.status == 0
    assert {"methods": "fitnets", "models": "lightcnn", "datasets": "mnist", "suites": "digits"}[kind] in outcome.out


def test_help_and_version(kdbench_command: Any) -> None:
    assert "run" in kdbench_command("--help").out
    assert kdbench_command("--version").out.startswith("kdbench ")
    assert kdbench_command("rnu").status == 2


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_cleanly_says_how_to_go_on_and_has_its_status(tmp_path: Path, number: int, status: int) -> None:
    path = small.write_suite(tmp_path, recipe={"epochs": 10_000, "batch_size": 32, "lr": 0.01})
    command = [
        sys.executable,
        "-m",
        "kdbench",
        "run",
        str(path),
        "--runs",
        str(tmp_path / "runs"),
        "--data-root",
        str(tmp_path),
    ]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=unmeasured(OMP_NUM_THREADS="1")
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "runs").glob("checkpoints/*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert "to go on: " in err
    assert "Traceback" not in err


def test_a_method_of_a_file_runs_beside_the_suite_s(kdbench_command: Any, here: Path) -> None:
    (here / "mine.py").write_text(METHOD)
    small.write_suite(here)
    alone = kdbench_command("plan", "small.yaml", "--with", "mine.py")
    assert " mine " in alone.out
    assert " kd " in alone.out
    ran = kdbench_command("run", "small.yaml", "--with", "mine.py", "--only", "mine", "--epochs", "1")
    assert ran.status == 0, ran.err
    assert [line.split()[0] for line in ran.out.splitlines() if line.startswith(("kd", "mine"))] == ["mine"]


def test_a_method_is_added_by_name(kdbench_command: Any, here: Path) -> None:
    small.write_suite(here)
    said = kdbench_command("plan", "small.yaml", "--add", "dkd", "--add", "kd").out
    assert [said.count(f" {name} ") for name in ("kd", "dkd")] == [1, 1]
    wrong = kdbench_command("plan", "small.yaml", "--add", "dkdd")
    assert wrong.status == 2
    assert 'in --add dkdd: unknown method "dkdd"; did you mean "dkd"?' in wrong.err
    assert "--add runs a method that the suite lacks" in kdbench_command("plan", "small.yaml", "--only", "dkd").err


def test_a_plugin_whose_method_is_not_run_and_one_that_provides_nothing_are_named(kdbench_command: Any, here: Path) -> None:
    (here / "mine.py").write_text(METHOD)
    (here / "empty.py").write_text("class Mine:\n    pass\n")
    small.write_suite(here)
    said = kdbench_command("run", "small.yaml", "--plugin", "mine.py", "--plugin", "empty.py", "--epochs", "0").err
    assert 'mine.py provides "mine", which this suite does not run: --add mine' in said
    assert "warning: " in next(line for line in said.splitlines() if "empty.py provides nothing" in line)
    refused = kdbench_command("run", "small.yaml", "--with", "empty.py")
    assert refused.status == 2
    assert "provides no method" in refused.err
