"""Where the Docker host is: by the rules of the docker command, and the same for all that speak to it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from multiarch.docker_endpoint import Endpoint, Tls, resolve
from multiarch.docker_host import DockerHost
from multiarch.errors import ConfigurationError
from multiarch.retry import Policy


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The directory of DOCKER_CONFIG, with the contexts ``nas`` (tcp), ``pi`` (ssh), ``tls`` and ``lax``."""
    directory = tmp_path / "docker"
    for name, endpoint in {
        "nas": {"Host": "tcp://nas:2375"},
        "pi": {"Host": "ssh://me@pi"},
        "tls": {"Host": "tcp://box:2376", "SkipTLSVerify": False},
        "lax": {"Host": "tcp://box:2376", "SkipTLSVerify": True},
        "none": {"Host": ""},
    }.items():
        digest = hashlib.sha256(name.encode()).hexdigest()
        meta = directory / "contexts/meta" / digest
        meta.mkdir(parents=True)
        (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": endpoint}}))
    tls = tls_directory(directory)
    tls.mkdir(parents=True)
    (tls / "ca.pem").touch()
    return directory


def tls_directory(config: Path) -> Path:
    """Return where the files of the context ``tls`` are."""
    return config / "contexts/tls" / hashlib.sha256(b"tls").hexdigest() / "docker"


def of(config: Path, current: str = "", **environ: str) -> Endpoint:
    """Return what is resolved with a context of ``docker context use`` and an environment."""
    (config / "config.json").write_text(json.dumps({"currentContext": current} if current else {}))
    return resolve({"DOCKER_CONFIG": str(config), **environ})


@pytest.mark.parametrize(
    ("current", "environ", "expected"),
    [
        ("", {}, "unix:///var/run/docker.sock"),
        ("default", {}, "unix:///var/run/docker.sock"),
        ("nas", {}, "tcp://nas:2375"),
        ("nas", {"DOCKER_CONTEXT": "pi"}, "ssh://me@pi"),
        ("nas", {"DOCKER_CONTEXT": "default"}, "unix:///var/run/docker.sock"),
        ("nas", {"DOCKER_CONTEXT": ""}, "tcp://nas:2375"),
        ("nas", {"DOCKER_CONTEXT": "none"}, "unix:///var/run/docker.sock"),
        ("nas", {"DOCKER_HOST": "tcp://here:1", "DOCKER_CONTEXT": "pi"}, "tcp://here:1"),
        ("nas", {"DOCKER_HOST": ""}, "tcp://nas:2375"),
        ("gone", {"DOCKER_HOST": "tcp://here:1", "DOCKER_CONTEXT": "gone"}, "tcp://here:1"),
        ("gone", {"DOCKER_CONTEXT": "default"}, "unix:///var/run/docker.sock"),
    ],
)
def test_host_wins_over_context_and_that_over_the_current_one(
    config: Path, current: str, environ: dict[str, str], expected: str
) -> None:
    """As docker decides (resolveContextName)."""
    assert Endpoint(expected) == of(config, current, **environ)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("tcp://box", "tcp://box:2375"),
        ("box", "tcp://box:2375"),
        ("box:99", "tcp://box:99"),
        ("tcp://", "tcp://localhost:2375"),
        ("tcp://[::1]", "tcp://[::1]:2375"),
        ("unix://", "unix:///var/run/docker.sock"),
        (" unix:///tmp/x.sock\n", "unix:///tmp/x.sock"),
        ("ssh://me@box:22/run/docker.sock", "ssh://me@box:22/run/docker.sock"),
    ],
)
def test_what_an_address_leaves_out_is_added(config: Path, host: str, expected: str) -> None:
    """As docker does (opts.ParseHost)."""
    assert Endpoint(expected) == of(config, DOCKER_HOST=host)


@pytest.mark.parametrize(
    ("current", "environ", "expected"),
    [
        ("", {"DOCKER_CONTEXT": "gone"}, "DOCKER_CONTEXT: there is no Docker context 'gone': choose one that"),
        ("gone", {}, "currentContext of {config}/config.json: there is no Docker context 'gone': choose one that"),
        ("", {"DOCKER_CONTEXT": "a\nb"}, r"DOCKER_CONTEXT: there is no Docker context 'a\nb': choose one that"),
        ("", {"DOCKER_HOST": "ftp://x"}, "DOCKER_HOST: 'ftp://x' is no address of a Docker host: unix:///PATH, "),
        ("", {"DOCKER_HOST": "tcp://x:y"}, "DOCKER_HOST: 'tcp://x:y' is no address: "),
        ("", {"DOCKER_HOST": "ssh://me:hidden@x"}, "DOCKER_HOST: 'ssh://me@x' is no ssh://USER@HOST:PORT, without"),
        ("", {"DOCKER_HOST": "ssh://"}, "DOCKER_HOST: 'ssh://' is no ssh://USER@HOST:PORT"),
    ],
)
def test_host_that_cannot_be_known_is_an_error(
    config: Path, current: str, environ: dict[str, str], expected: str
) -> None:
    """Never another host in its place; one line that says where it was named."""
    with pytest.raises(ConfigurationError) as caught:
        of(config, current, **environ)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(expected.format(config=config))
    assert "hidden" not in line


@pytest.mark.parametrize("content", ["", "[]", "null", "{", "[" * 100_000, '{"currentContext": 1}', "\0"])
def test_configuration_that_is_none_is_an_error(config: Path, content: str) -> None:
    """It may name another host."""
    (config / "config.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"config\.json"):
        resolve({"DOCKER_CONFIG": str(config)})


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"Endpoints": []}', '{"Endpoints": {"docker": {"Host": 1}}}'])
def test_context_that_is_none_is_an_error(config: Path, content: str) -> None:
    """Files of Docker's may be damaged, or of a later version."""
    (meta,) = (config / "contexts/meta" / hashlib.sha256(b"nas").hexdigest()).iterdir()
    meta.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        of(config, "nas")
    assert str(meta) in str(caught.value)


def test_context_brings_its_own_tls(config: Path) -> None:
    """Not that of the environment; and a socket has none."""
    environ = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/elsewhere"}
    tls = Tls(tls_directory(config), verify=True)
    assert Endpoint("tcp://box:2376", tls) == of(config, "tls", **environ)
    assert (tls.directory / "ca.pem", None) == (tls.ca, tls.certificate)
    assert Endpoint("tcp://nas:2375") == of(config, "nas", **environ)
    lax = of(config, "lax").tls
    assert (False, None) == (lax and lax.verify, lax and lax.ca)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"DOCKER_HOST": "tcp://x:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"}, Tls(Path("/c"), True)),
        ({"DOCKER_HOST": "tcp://x:1", "DOCKER_TLS": "1", "DOCKER_CERT_PATH": "/c"}, Tls(Path("/c"), False)),
        ({"DOCKER_HOST": "tcp://x:1", "DOCKER_CERT_PATH": "/c"}, None),
        ({"DOCKER_HOST": "unix:///x", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/c"}, None),
    ],
)
def test_tls_of_the_environment(config: Path, environ: dict[str, str], expected: Tls | None) -> None:
    """DOCKER_TLS_VERIFY verifies, DOCKER_TLS does not, and the path of the files alone does nothing."""
    assert expected == of(config, **environ).tls


def test_buildctl_gets_the_variables_of_what_was_resolved(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The docker command that it starts finds the same host, also where DOCKER_CONFIG has changed meanwhile."""
    monkeypatch.setenv("DOCKER_CONFIG", str(config))
    monkeypatch.setenv("DOCKER_CONTEXT", "tls")
    monkeypatch.setenv("DOCKER_TLS", "1")
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    host = DockerHost(Policy(attempts=1), print)
    monkeypatch.setenv("DOCKER_CONFIG", "/elsewhere")
    environ = host.endpoint.environ()
    assert {
        "DOCKER_CONFIG": "/elsewhere",
        "DOCKER_HOST": "tcp://box:2376",
        "DOCKER_CERT_PATH": str(tls_directory(config)),
        "DOCKER_TLS_VERIFY": "1",
    } == {name: value for name, value in environ.items() if name.startswith("DOCKER_") and "AUTH" not in name}


@pytest.mark.parametrize("address", ["unix:///a\0b", "unix:///a\ud800", "tcp://a\nb:1", "ssh://box\n", "ssh://%00@box"])
def test_address_with_what_cannot_be_printed_is_an_error(config: Path, address: str) -> None:
    """A parser of addresses drops line ends, and no process takes a zero."""
    (meta,) = (config / "contexts/meta" / hashlib.sha256(b"nas").hexdigest()).iterdir()
    meta.write_text(json.dumps({"Endpoints": {"docker": {"Host": f"{address}x"}}}))
    with pytest.raises(ConfigurationError, match=r"the Docker context 'nas': .* holds what cannot be printed"):
        of(config, "nas")


def test_name_of_a_context_that_no_file_can_have_is_an_error(config: Path) -> None:
    """JSON may hold half of a character."""
    with pytest.raises(ConfigurationError, match=r"currentContext of .*config\.json: '.ud800' is no text"):
        of(config, "\ud800")
