"""A git repository of two images, one on the other, that were released with records of what they were built from."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from multiarch.config.checkout import Checkout
from multiarch.config.project import load_project
from multiarch.image.manifest import OCI_INDEX, OCI_MANIFEST
from multiarch.publish.built_from import BuiltFrom
from multiarch.publish.changes import Verdict, is_published
from multiarch.publish.changes import verdicts as judge
from multiarch.publish.inputs import ANNOTATION, read_inputs, write_record
from multiarch.registry.client import Registry
from multiarch.retry import Policy

if TYPE_CHECKING:
    from pathlib import Path

    from multiarch.config.project import Project
    from tests.unit.registry_server import RegistryServer

PROVENANCE = "https://slsa.dev/provenance/v1"
# Nothing of the machine's: neither its name of a person nor its filters.
GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
PERSON = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "protocol.file.allow=always")


def git(directory: Path, *words: str) -> str:
    """Run a git command, which must succeed; return what it prints."""
    command = ["git", "-C", str(directory), *PERSON, *words]
    done = subprocess.run(command, env={**os.environ, **GIT}, capture_output=True, text=True)
    assert 0 == done.returncode, done.stderr
    return done.stdout.strip()


def commit_of(path: Path) -> str:
    """Return what is checked out."""
    return Checkout({}, path).revision


@dataclass
class Released:
    """The repository in *path*, and the registry that its images were released into.

    :ivar written: the ``multiarch`` block of its invoke.yaml.
    :ivar environ: variables of the runs.
    :ivar config: what the configs of the images say otherwise.
    """

    path: Path
    server: RegistryServer
    written: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def create(cls, path: Path, server: RegistryServer) -> Released:
        """Write and commit a base, and an app on it; release both."""
        targets = {
            "base": {"context": "base", "tags": []},
            "app": {"context": "app", "contexts": {"base": "target:base"}},
        }
        block = {"image": f"{server.host}/{{target}}", "platforms": ["amd64"], "only_changed": True, "targets": targets}
        self = cls(path, server, block)
        git(path, "init", "-q", "-b", "main")
        self.write("base/Dockerfile", f"FROM {server.host}/alpine:3\n")
        self.write("app/Dockerfile", "FROM base\nCOPY . /app\n")
        self.write("app/main.py", "print()\n")
        self.write("app/tool.sh", "#!/bin/sh\n", mode=0o755)
        self.write("app/lib/one.py", "1\n")
        self.write("app/.dockerignore", "*.log\nout\nout.*\n")
        self.write("docs/index.md", "# Docs\n")
        (path / "app/link").symlink_to("main.py")
        self.commit()
        server.hold_manifest("alpine", "3", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}, OCI_INDEX)
        self.release()
        return self

    def write(self, name: str, text: str, *, mode: int = 0o644) -> None:
        """Write a file."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def commit(self) -> str:
        """Commit everything that git does not ignore; return the commit."""
        git(self.path, "add", "--all")
        git(self.path, "commit", "-q", "--allow-empty", "-m", "a change")
        return git(self.path, "rev-parse", "HEAD")

    def of_app(self, **more: Any) -> None:
        """Let the settings of the app say otherwise."""
        self.written["targets"]["app"] |= more

    @property
    def project(self) -> Project:
        """The project of the repository as it is now."""
        return load_project(self.written, self.environ, {}, directory=self.path)

    def release(self, tags: tuple[str, ...] = ("latest",)) -> None:
        """Put into the registry what a release from here builds: as BuildKit pushes it, with our record."""
        project = self.project
        commit = commit_of(self.path)
        host = self.server.host.replace(":", "%3A")
        names = [target.name for target in project]
        alpine = self._material("alpine", f"pkg:docker/{host}/alpine@3?platform=linux%2Famd64", "3")
        base = [self.hold("base", "staged", [alpine], {})] if "base" in names else []
        on = [f"pkg:docker/{host}/base?digest={one['digest']}&platform=linux%2Famd64" for one in base]
        materials = [self._material("base", uri, "staged") for uri in on] or [alpine]
        record = {ANNOTATION: write_record(read_inputs(project, project.asked_for[-1], commit))}
        for tag in tags:
            self.hold(names[-1] or "app", tag, materials, record)

    def _material(self, repository: str, uri: str, tag: str) -> dict[str, Any]:
        body = self.server.contents[f"/v2/{repository}/manifests/{tag}"][1]
        return {"uri": uri, "digest": {"sha256": _sha256(body)}}

    def hold(
        self, repository: str, tag: str, materials: list[dict[str, Any]] | None, annotations: dict[str, str]
    ) -> dict[str, Any]:
        """Put an index with an image and its provenance into a repository; None is no provenance."""
        server = self.server
        fields = {"os": "linux", "architecture": "amd64", "of": [repository, tag], **self.config}
        config = json.dumps(fields).encode()
        described = {"digest": server.hold_blob(repository, config), "size": len(config)}
        body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": []}
        image = server.hold_manifest(repository, f"{tag}-image", body)
        entries = [{**image, "platform": {"os": "linux", "architecture": "amd64"}}]
        if materials is not None:
            entries.append(self._attestation(repository, tag, image["digest"], materials))
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries, "annotations": annotations}
        return server.hold_manifest(repository, tag, index, OCI_INDEX)

    def _attestation(self, repository: str, tag: str, digest: str, materials: list[dict[str, Any]]) -> dict[str, Any]:
        predicate = {"buildDefinition": {"resolvedDependencies": materials}}
        statement = json.dumps({"predicateType": PROVENANCE, "predicate": predicate}).encode()
        layer = {
            "mediaType": "application/vnd.in-toto+json",
            "digest": self.server.hold_blob(repository, statement),
            "size": len(statement),
            "annotations": {"in-toto.io/predicate-type": PROVENANCE},
        }
        config = {"digest": self.server.hold_blob(repository, b"{}"), "size": 2}
        body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]}
        held = self.server.hold_manifest(repository, f"{tag}-attestation", body)
        about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest}
        return {**held, "annotations": about, "platform": {"os": "unknown", "architecture": "unknown"}}

    def verdicts(self) -> dict[str, Verdict]:
        """Judge the targets, with a client of little patience."""

        def clients(host: str) -> tuple[Registry, ...]:
            return (Registry(host, Policy(seconds=0.1, attempts=2, first=0.001, longest=0.01), print),)

        project = self.project
        unpublished = {one.settings.publish.images[0].name for one in project if not is_published(one)}
        return judge(project, commit_of(self.path), BuiltFrom(clients, unpublished))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
