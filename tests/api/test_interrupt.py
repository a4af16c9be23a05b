"""A signal is never lost, and never ends in a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import unmeasured

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")
BEGIN = "import os, signal, sys, time; from kdbench.api import interrupt; interrupt.install()\n"
KILL = "os.kill(os.getpid(), signal.{})\n"


def run(code: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    environment = unmeasured(PYTHONPATH=os.pathsep.join([*map(str, paths), *sys.path]))
    return subprocess.run(
        [sys.executable, "-c", BEGIN + code], capture_output=True, text=True, timeout=60, env=environment, check=False
    )


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_during_an_import_ends_the_process_at_once(tmp_path: Path, name: str, status: int) -> None:
    (tmp_path / "slow.py").write_text("import os, signal\n" + KILL.format(name) + "print('went on')")
    done = run("import slow", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "stopped\n")


def test_where_there_is_something_to_clean_up_it_waits_for_the_end_of_the_import(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import os, signal\n" + KILL.format("SIGTERM") + "print('imported')")
    code = (
        "try:\n  with interrupt.orderly():\n    import slow\n    time.sleep(30)\n"
        "except KeyboardInterrupt: print('cleaned', interrupt.status())"
    )
    done = run(code, tmp_path)
    assert (done.stdout, done.stderr) == ("imported\ncleaned 143\n", "")


def test_an_import_that_never_ends_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text("import os, signal\n" + KILL.format("SIGINT") + "while True: pass")
    code = (
        "interrupt.LONGEST_IMPORT = 0.5\n"
        "try:\n  with interrupt.orderly():\n    import endless\n"
        "except KeyboardInterrupt: print('cleaned')"
    )
    assert run(code, tmp_path).stdout == "cleaned\n"


def test_a_signal_in_a_finalizer_is_raised_again() -> None:
    code = (
        "class Dies:\n  def __del__(self): os.kill(os.getpid(), signal.SIGINT); time.sleep(0)\n"
        "try:\n  with interrupt.orderly():\n    Dies()\n    time.sleep(30)\n"
        "except KeyboardInterrupt: print('stopped', interrupt.wanted())"
    )
    done = run(code)
    assert (done.stdout, done.stderr) == ("stopped True\n", "")


def test_a_command_has_the_status_of_the_signal_whatever_is_made_of_it() -> None:
    code = "from kdbench.cli import main\ndef app(standalone_mode): {}\nmain.app = app\nsys.exit(main._run())"
    kill = "os.kill(os.getpid(), signal.SIGTERM)"
    for body in (
        kill,
        f"\n  try: {kill}\n  except KeyboardInterrupt: return 130",  # as typer does
        f"\n  try: {kill}\n  except KeyboardInterrupt: raise ImportError('partially initialized module')",
        f"\n  try: {kill}\n  except KeyboardInterrupt: return 0",
    ):
        done = run(code.format(body))
        assert (done.returncode, done.stderr) == (143, "stopped\n"), body


def test_the_first_signal_decides_the_status() -> None:
    code = (
        "for n in (signal.SIGTERM, signal.SIGINT):\n"
        "  try:\n    os.kill(os.getpid(), n); time.sleep(1)\n"
        "  except KeyboardInterrupt: pass\n"
        "print(interrupt.status())"
    )
    assert run(code).stdout == "143\n"
    assert signal.SIGTERM == 15
