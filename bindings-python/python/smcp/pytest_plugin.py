"""Fixtures for pytest, found through the package's entry point."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import MockGateway


@pytest.fixture
def smcp_gateway() -> Iterator[MockGateway]:
    """A MockGateway without tools, closed after the test."""
    from .testing import MockGateway  # noqa: PLC0415

    with MockGateway() as gateway:
        yield gateway
