"""Fixtures: builders, a registry and projects of tests, each on ports and in directories of its own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.fleet.certificates import Authority
from tests.fleet.parts import Builder, Project, Registry, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """A registry on the loopback interface."""
    registry = Registry(tmp_path / "registry").start()
    yield registry
    registry.daemon.end()


@pytest.fixture
def project(tmp_path: Path, registry: Registry) -> Project:
    """A project that publishes to the registry."""
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project", f"{registry.host}/app")


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Callable[[str], Builder]]:
    """Start a builder on a socket of this machine, by its name."""
    with ExitStack() as stack:

        def start(name: str) -> Builder:
            # A socket's path may have 107 bytes.
            builder = Builder(tmp_path / name, f"unix://{tmp_path}/{name}.sock").start()
            stack.callback(builder.end)
            return builder

        yield start


@pytest.fixture(scope="session")
def authority() -> Authority:
    """A CA."""
    return Authority()


@pytest.fixture
def secured(tmp_path: Path, authority: Authority) -> Iterator[Callable[..., Builder]]:
    """Start a builder that takes certificates of the CA alone, by its name."""
    with ExitStack() as stack:

        def start(name: str, hosts: tuple[str, ...] = ("127.0.0.1",), days: int = 89) -> Builder:
            certificates = authority.make(tmp_path / f"{name}-server", hosts, days)
            builder = Builder(tmp_path / name, f"tcp://127.0.0.1:{free_port()}", certificates).start()
            stack.callback(builder.end)
            return builder

        yield start


@pytest.fixture
def client(tmp_path: Path, authority: Authority) -> Path:
    """Our certificates for builders."""
    return authority.make(tmp_path / "client")
