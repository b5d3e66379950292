"""Step 4, ``build-arch``: build and push the image of one platform.

The document: "Building Images", in today's words: ``--opt`` for ``--frontend-opt``, ``--output type=image,…`` for
``--exporter image --exporter-opt …``. Progress is BuildKit's own stream of states (``--progress rawjson``).
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from multiarch.errors import ConfigurationError, MissingPathError
from multiarch.solve import Solve

if TYPE_CHECKING:
    from multiarch.platforms import Platform
    from multiarch.progress import Progress
    from multiarch.references import ImageReference
    from multiarch.retry import Policy
    from multiarch.settings import Settings, Target


@dataclass(frozen=True)
class PushedImage:
    """The image of one platform, in a registry: *reference* is its staging tag, *digest* what was pushed there."""

    platform: Platform
    reference: ImageReference
    digest: str

    def __str__(self) -> str:
        return str(self.reference.with_digest(self.digest))


def build_arch(
    settings: Settings, target: Target, *, buildctl: Path, address: str, policy: Policy, progress: Progress
) -> PushedImage | Path:
    """Build one platform; return what was pushed to the first repository, or the path written with another output.

    The other repositories get copies of it when the index is published.

    :param address: the builder, as BUILDKIT_HOST takes it.
    :raises MissingPathError: no such context or Dockerfile.
    :raises BuildFailedError: the solve failed for good; with the failing step and its last lines.
    """
    context, dockerfile = check_paths(settings, target)
    output = settings.output
    if output.dest:
        try:
            Path(output.dest).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError("--output", f"cannot write to {output.dest}: {error.strerror}") from None
    with tempfile.TemporaryDirectory(prefix="multiarch-") as directory:
        metadata = Path(directory) / "metadata.json"
        command = _command(settings, target, context, dockerfile, str(buildctl), address)
        command += ["--metadata-file", str(metadata), "--progress", "rawjson"]
        subject = str(target.platform)
        policy.call("build", lambda: Solve(subject, progress).run(command, policy.stopped), show=progress.say)
        if output.dest:
            return Path(output.dest)
        digest = json.loads(metadata.read_text())["containerimage.digest"]
    return PushedImage(target.platform, settings.staging(settings.images[0], target.platform), digest)


def commands(settings: Settings, target: Target, *, buildctl: Path, address: str) -> list[list[str]]:
    """Return the document's command for this step."""
    context = Path(settings.context)
    return [_command(settings, target, context, _dockerfile(context, target), str(buildctl), address)]


def _command(
    settings: Settings, target: Target, context: Path, dockerfile: Path, buildctl: str, address: str
) -> list[str]:
    options = {"platform": str(target.platform), "filename": dockerfile.name}
    if settings.source:
        options["source"] = settings.source
    if target.stage:
        options["target"] = target.stage
    options |= {f"build-arg:{name}": value for name, value in target.build_args.items()}
    options |= {f"attest:{kind}": attributes for kind, attributes in settings.attestations.items()}
    command = [buildctl, "--addr", address, "build", "--frontend", settings.frontend]
    for name, value in options.items():
        command += ["--opt", f"{name}={value}"]
    command += ["--local", f"context={context}", "--local", f"dockerfile={dockerfile.parent}"]
    return [*command, "--output", _output(settings, target)]


def _output(settings: Settings, target: Target) -> str:
    """Return the exporter's attributes as buildctl reads them: a record of CSV."""
    fields = [f"type={settings.output.type}"]
    if settings.output.type == "image":
        image = settings.staging(settings.images[0], target.platform)
        fields += [f"name={image}", "push=true"]
        fields += ["registry.insecure=true"] if image.registry in settings.insecure_registries else []
    else:
        fields.append(f"dest={settings.output.dest}")
    record = io.StringIO()
    csv.writer(record, lineterminator="").writerow(fields)
    return record.getvalue()


def _dockerfile(context: Path, target: Target) -> Path:
    return Path(target.dockerfile) if target.dockerfile else context / "Dockerfile"


def check_paths(settings: Settings, target: Target) -> tuple[Path, Path]:
    """Return the context and the Dockerfile. :raises MissingPathError: one of them is not there."""
    context = Path(settings.context)
    if not context.is_dir():
        raise MissingPathError("build context", context, "context")
    dockerfile = _dockerfile(context, target)
    if not dockerfile.is_file():
        raise MissingPathError(f"Dockerfile for {target.platform}", dockerfile, "dockerfile")
    return context, dockerfile
