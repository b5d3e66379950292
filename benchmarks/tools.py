"""The contestants of a whole release: this package, buildx, a bare solve, and the document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.arena import BUILDKIT, Arena, Job, invoke
from benchmarks.peers import BUILDX, Commands, install
from multiarch.buildkit.command import record

if TYPE_CHECKING:
    from collections.abc import Mapping

OURS, MANAGED, PEER = "multiarch", "multiarch, its own BuildKit", "buildx"
BARE, SERIAL = "a bare solve", "the document, serially"


def settings(arena: Arena, job: Job, **more: Any) -> dict[str, Any]:
    """Return the settings of a job, as invoke.yaml has them."""
    own: dict[str, Any] = {"image": list(job.images), "tags": list(job.tags), "platforms": list(job.platforms)}
    own |= {"context": "app", "dest": str(arena.folder), "buildkit_image": BUILDKIT}
    own |= {"build_args": dict(job.arguments)} if job.arguments else {}
    own |= {"secrets": {name: f"file:{path}" for name, path in job.secrets.items()}} if job.secrets else {}
    return own | ({"cache": "registry", "cache_image": job.cache} if job.cache else {}) | more


def configure(arena: Arena, block: Mapping[str, Any]) -> Commands:
    """Write invoke.yaml, where an adopter has it; return the command of a release. JSON is YAML."""
    (arena.folder / "invoke.yaml").write_text(json.dumps({"multiarch": block}))
    return [invoke("release")]


def ours(arena: Arena, job: Job) -> Commands:
    """``release``."""
    return configure(arena, settings(arena, job))


def buildx(arena: Arena, job: Job) -> Commands:
    """One ``buildx build``, with the attestations that ours has."""
    words = ["build", "--builder", arena.builder, "--platform", ",".join(job.platforms), "--push"]
    words += ["--provenance=mode=min", "--progress=plain"]
    words += [word for reference in job.references for word in ("--tag", reference)]
    words += [word for name, value in job.arguments.items() for word in ("--build-arg", f"{name}={value}")]
    words += _secrets(job)
    if job.cache:
        words += ["--cache-from", f"type=registry,ref={job.cache}:buildcache"]
        words += ["--cache-to", f"type=registry,ref={job.cache}:buildcache,mode=max"]
    return [[str(install(BUILDX)), *words, str(arena.app)]]


def bare(arena: Arena, job: Job) -> Commands:
    """One ``buildctl build`` that pushes: what BuildKit itself takes, with no check of what comes out."""
    words = [arena.buildctl, "--addr", arena.address, "build", "--frontend", "dockerfile.v0", "--progress", "plain"]
    words += ["--local", f"context={arena.app}", "--local", f"dockerfile={arena.app}"]
    words += ["--opt", f"platform={','.join(job.platforms)}", "--opt", "attest:provenance=mode=min"]
    words += [word for name, value in job.arguments.items() for word in ("--opt", f"build-arg:{name}={value}")]
    words += _secrets(job)
    words += ["--output", record("type=image", f"name={','.join(job.references)}", "push=true")]
    if job.cache:
        words += ["--import-cache", f"type=registry,ref={job.cache}:buildcache"]
        words += ["--export-cache", f"type=registry,ref={job.cache}:buildcache,mode=max"]
    return [words]


def serial(arena: Arena, job: Job) -> Commands:
    """The document's commands, which ``invoke --dry`` shows; ``docker manifest`` takes no attestations."""
    from multiarch.config.load import load
    from multiarch.config.project import Project
    from multiarch.publish import commands
    from multiarch.steps import build_arch

    written = settings(arena, job, attestations=[])
    project = Project.of(load(written, {"BUILDKIT_HOST": arena.address}, {}))
    (target,) = project.targets
    builds = [build_arch.command_of(project, target, entry) for entry in project.matrix]
    return builds + commands.commands(target.settings)


def _secrets(job: Job) -> list[str]:
    return [word for name, path in job.secrets.items() for word in ("--secret", f"id={name},src={path}")]


TOOLS = {OURS: ours, PEER: buildx, BARE: bare}
