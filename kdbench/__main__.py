"""``python -m kdbench``."""

from kdbench.cli.entry import main

if __name__ == "__main__":
    main()
