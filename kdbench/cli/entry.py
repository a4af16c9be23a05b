"""Entry point of the ``kdbench`` command.

It takes over the signals before it imports anything that takes time.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from kdbench.api import interrupt


def main() -> NoReturn:
    """Run the command line; :func:`kdbench.cli.main.main` lists the exit statuses."""
    try:
        interrupt.install()
        from kdbench.cli.main import main as run

        run()
    except KeyboardInterrupt:  # a further one, while the first was being handled
        interrupt.ignore()
        sys.exit(interrupt.status())
