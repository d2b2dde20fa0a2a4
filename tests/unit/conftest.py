"""Fixtures of the tests of capabilities."""

from pathlib import Path

import pytest

from tests.fdx_provider import FdxProvider, write_profile


@pytest.fixture
def provider() -> FdxProvider:
    """A simulated FDX provider."""
    return FdxProvider()


@pytest.fixture
def profile(tmp_path: Path) -> str:
    """The file with the profile of the simulated FDX provider."""
    return write_profile(tmp_path)
