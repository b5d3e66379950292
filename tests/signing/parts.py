"""The real parts of signing: cosign with its keys, registries of three kinds, and images that are staged in them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lab import cosign, distribution
from tests.fleet.parts import Daemon, Result, free_port, listens, wait_until

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "the word of the key"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DEBIAN, DISTRIBUTION, REFERRERS = "docker-registry 2.8", "distribution 3", "with the referrers API"


@dataclass
class Registry:
    """A registry of a test.

    :ivar kind: Debian's, that of the distribution project, or one with the referrers API.
    :ivar login: user and password that it asks for; empty for none.
    :ivar htpasswd: the file that knows them, for Debian's and the distribution project's.
    :ivar certificates: the directory of those of its TLS; None for plain HTTP.
    """

    folder: Path
    kind: str = DEBIAN
    login: tuple[str, str] | tuple[()] = ()
    htpasswd: str = ""
    address: str = "127.0.0.1"
    certificates: Path | None = None
    host: str = ""
    daemon: Daemon = field(init=False)

    def start(self) -> Registry:
        """Start it, and wait until it listens."""
        self.folder.mkdir(parents=True)
        port = free_port(self.address)
        self.host = f"{self.address}:{port}"
        self.daemon = Daemon(self._command(), self.folder / "log")
        self.daemon.start()
        wait_until(lambda: listens(self.address, port), "the start of the registry")
        return self

    def _command(self) -> list[str]:
        if self.kind == REFERRERS:
            return [str(cosign.folder() / "referrers"), self.host]
        program = "docker-registry" if self.kind == DEBIAN else str(distribution.program())
        storage = f"storage: {{filesystem: {{rootdirectory: {self.folder}/data}}}}"
        config = f"version: 0.1\nlog: {{accesslog: {{disabled: true}}}}\n{storage}\nhttp:\n  addr: '{self.host}'\n"
        if self.certificates:
            tls = {name: f"{self.certificates}/{file}.pem" for name, file in (("certificate", "cert"), ("key", "key"))}
            config += f"  tls: {json.dumps(tls)}\n"
        if self.login:
            config += f"auth: {{htpasswd: {{realm: test, path: {self.folder}/htpasswd}}}}\n"
            (self.folder / "htpasswd").write_text(self.htpasswd)
        (self.folder / "config.yml").write_text(config)
        return [program, "serve", str(self.folder / "config.yml")]

    @property
    def _base(self) -> str:
        return f"{'https' if self.certificates else 'http'}://{self.host}"

    def ask(self, verb: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[int, Any, bytes]:
        """Return status, headers and body of an answer."""
        url = path if path.startswith("http") else f"{self._base}{path}"
        request = urllib.request.Request(url, data=body, method=verb)
        request.add_header("Accept", f"{INDEX}, {MANIFEST}")
        if kind:
            request.add_header("Content-Type", kind)
        if self.login:
            request.add_header("Authorization", "Basic " + base64.b64encode(":".join(self.login).encode()).decode())
        try:
            context = ssl.create_default_context(cafile=f"{self.certificates}/ca.pem") if self.certificates else None
            with urllib.request.urlopen(request, timeout=10, context=context) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def blob(self, content: bytes) -> dict[str, Any]:
        """Put a blob into `app`; return its descriptor."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        _, headers, _ = self.ask("POST", "/v2/app/blobs/uploads/", b"")
        where = urllib.parse.urljoin(self._base, headers["Location"])
        where += ("&" if "?" in where else "?") + f"digest={digest}"
        assert 201 == self.ask("PUT", where, content, "application/octet-stream")[0]
        return {"digest": digest, "size": len(content)}

    def stage(self, *architectures: str) -> None:
        """Put an image for each architecture under its staging tag, as build-arch does."""
        for architecture in architectures:
            config = self.blob(json.dumps({"os": "linux", "architecture": architecture}).encode())
            config["mediaType"] = "application/vnd.oci.image.config.v1+json"
            body = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}
            status, *_ = self.ask(
                "PUT", f"/v2/app/manifests/latest-{architecture}", json.dumps(body).encode(), MANIFEST
            )
            assert 201 == status

    def digest(self, tag: str = "latest") -> str:
        """Return what a tag points to; empty where there is none."""
        status, headers, _ = self.ask("HEAD", f"/v2/app/manifests/{tag}")
        return str(headers["Docker-Content-Digest"]) if status == 200 else ""

    def entries(self, digest: str) -> list[str]:
        """Return the digests that an index lists."""
        body = json.loads(self.ask("GET", f"/v2/app/manifests/{digest}")[2])
        return [entry["digest"] for entry in body["manifests"]]

    def signatures(self, digest: str) -> int:
        """Return how many manifests refer to one (distribution-spec 1.1, "Listing Referrers")."""
        fallback = f"/v2/app/manifests/{digest.replace(':', '-')}"
        status, _, body = self.ask("GET", f"/v2/app/referrers/{digest}")
        if status != 200:
            status, _, body = self.ask("GET", fallback)
        return len(json.loads(body)["manifests"]) if status == 200 else 0

    def end(self) -> None:
        """End it."""
        self.daemon.end()


@dataclass(frozen=True)
class Keys:
    """A pair of keys of cosign's, in files."""

    private: Path
    public: Path

    @classmethod
    def make(cls, folder: Path) -> Keys:
        """Have cosign make them."""
        folder.mkdir()
        run_cosign("generate-key-pair", cwd=folder)
        return cls(folder / "cosign.key", folder / "cosign.pub")

    def verify(self, reference: str) -> str:
        """Have cosign verify something; return its complaint, empty where it is signed by our key."""
        words = ["verify", f"--key={self.public}", "--insecure-ignore-tlog", reference]
        done = subprocess.run([str(cosign.folder() / "cosign"), *words], capture_output=True, text=True, timeout=60)
        return "" if done.returncode == 0 else done.stderr


def run_cosign(*words: str, cwd: Path) -> None:
    """Run cosign, which must succeed."""
    environ = {**os.environ, "COSIGN_PASSWORD": PASSWORD}
    done = subprocess.run(
        [str(cosign.folder() / "cosign"), *words], cwd=cwd, env=environ, capture_output=True, text=True, timeout=60
    )
    assert 0 == done.returncode, done.stderr


@dataclass
class Project:
    """A project whose images are staged in a registry, and signed with a key when they are published.

    :ivar path: of the programs, with cosign in front.
    """

    folder: Path
    registry: Registry
    keys: Keys
    path: str = ""
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, sign: str | None = None, more: str = "") -> None:
        """Write the settings. :param sign: as it stands in YAML; None for the key, and no log."""
        sign = f"{{key: {self.keys.private}, log: false}}" if sign is None else sign
        block = f"multiarch:\n  image: {self.registry.host}/app\n  platforms: [linux/amd64, linux/arm64]\n"
        block += f"  retry_seconds: 5\n{more}" + (f"  sign: {sign}\n" if sign else "")
        (self.folder / "invoke.yaml").write_text(block)
        (self.folder / "tasks.py").write_text("from multiarch import ns\n")
        (self.folder / "Dockerfile").write_text("FROM scratch\n")

    def env(self, **more: str | None) -> dict[str, str]:
        """Return the environment of a run; None is a variable that is not set."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("INVOKE_", "COSIGN_", "DOCKER_"))}
        path = f"{self.path or cosign.folder()}:{os.environ['PATH']}"
        own = {"DOCKER_HOST": "unix:///nowhere/docker.sock", "COSIGN_PASSWORD": PASSWORD, "PATH": path}
        wanted: dict[str, str | None] = {**clean, **own, **self.environ, **more}
        return {name: value for name, value in wanted.items() if value is not None}

    def begin(self, *words: str, **environ: str | None) -> subprocess.Popen[str]:
        """Begin a run of tasks."""
        return subprocess.Popen(
            [sys.executable, "-m", "invoke", *words],
            cwd=self.folder,
            env=self.env(**environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **environ: str | None) -> Result:
        """Run tasks to their end."""
        process = self.begin(*words, **environ)
        out, err = process.communicate(timeout=120)
        return Result(process.returncode, out.splitlines(), err)

    def stand_in(self, script: str) -> Path:
        """Put a cosign in front that runs a script, in which ``$real`` is the real one; return its folder."""
        folder = self.folder / "stand-in"
        folder.mkdir(exist_ok=True)
        program = folder / "cosign"
        program.write_text(f"#!/bin/sh\nreal={cosign.folder()}/cosign\nhere={folder}\n{script}\n")
        program.chmod(0o755)
        self.path = str(folder)
        return folder


def is_running(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"
    return False
