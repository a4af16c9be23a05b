"""Decoded images are cached, so that these tests need a cache of their own as well."""

from __future__ import annotations

from tests.data.conftest import user_folders

__all__ = ["user_folders"]
