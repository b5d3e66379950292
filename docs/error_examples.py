"""One error of each class that users meet, with the values of an example."""

from __future__ import annotations

from multiarch import errors
from multiarch.adoption.errors import AdoptionError
from multiarch.docker_ssh import SshError
from multiarch.fleet.errors import BuilderFaultError, NoBuilderLeftError
from multiarch.image.reference import ImageReference
from multiarch.pipelines.errors import PipelineError
from multiarch.publish import errors as refusals
from multiarch.publish.reachable import UnknownReachError
from multiarch.publish.removal import CannotDeleteError
from multiarch.registry import errors as contents
from multiarch.steps.doctor.step import UnhealthyError

# The parts of the page, and the modules whose classes stand in each.
ROOMS = {
    "Any step": ("multiarch.errors", "multiarch.docker_ssh"),
    "Builders elsewhere": ("multiarch.fleet.errors",),
    "Registries": ("multiarch.registry.errors",),
    "Gates, and tags that are not moved": ("multiarch.publish.errors",),
    "Cleaning up": ("multiarch.publish.reachable", "multiarch.publish.removal"),
    "Files that are written": ("multiarch.pipelines.errors", "multiarch.adoption.errors"),
    "Doctor": ("multiarch.steps.doctor.step",),
}
# Those that never reach a user as they are: one is a signal between threads, the others become a line of doctor.
INTERNAL = {"StoppedError", "ClientError", "LateError"}
_APP = "docker.io/someone/app"
_ARM = f"{_APP}:latest-arm64"
_OLD, _NEW = "sha256:01…", "sha256:02…"


def examples() -> dict[str, errors.MultiarchError]:
    """Return the examples, by the names of their classes."""
    return {type(error).__name__: error for error in (*_of_machines(), *_of_registries(), *_of_tags())}


def _of_machines() -> list[errors.MultiarchError]:
    down = BuilderFaultError("arm-1", "tcp://arm-1.example:1234 does not answer: i/o timeout", "does not answer")
    return [
        errors.ConfigurationError("multiarch.jobs", "expected an integer, got 'many'"),
        errors.OutputError("No space left on device"),
        errors.EmptyMatrixError(),
        errors.MissingPathError("Dockerfile", "docker/Dockerfile", "file", "dockerfile"),
        errors.NoDockerError("unix:///var/run/docker.sock", "no such socket"),
        errors.DockerPermissionError("unix:///var/run/docker.sock"),
        errors.DockerError("start container buildkit", "no space left on device"),
        errors.DockerNotFoundError("inspect container buildkit", "No such container: buildkit"),
        errors.DockerConflictError("remove container buildkit", "removal of container buildkit is already in progress"),
        errors.ImageUnavailableError("busybox:stable", "probe_image", "toomanyrequests: You have reached your limit"),
        errors.PortTakenError("127.0.0.1:1234", "choose another port: --address tcp://127.0.0.1:1235"),
        errors.ForeignContainerError("buildkit"),
        errors.EmulatorError(["linux/riscv64"], "tonistiigi/binfmt:qemu-v10.2.3", ""),
        errors.NotReadyError("buildkit", "connection refused", ["buildkitd: cannot create /var/lib/buildkit"]),
        errors.BuilderUnreachableError("tcp://127.0.0.1:1234", "Connection refused"),
        errors.NoBuilderError(),
        errors.BuildctlMissingError(["/home/me/.cache/multiarch/buildctl"]),
        errors.BuildctlNotExecutableError("bin/buildctl", "Darwin on arm64: Exec format error"),
        errors.BuildFailedError("linux/arm64", "exit code: 2", step="[2/3] RUN make", where="Dockerfile:7"),
        SshError("build@docker-box: Permission denied (publickey)."),
        down,
        NoBuilderLeftError(["linux/arm64"], {"arm-1": down}),
        PipelineError(".travis.yml is not what invoke pipeline --ci travis writes; run it", ["- old", "+ new"]),
        AdoptionError("invoke.yaml lacks what multiarch init finds; run it", ["+  tags: [latest]"]),
        UnhealthyError(1, 12),
    ]


def _of_registries() -> list[errors.MultiarchError]:
    get, put = f"GET {_APP}/manifests/latest", f"PUT {_APP}/blobs/uploads/1"
    repository = ImageReference.parse(_APP)
    return [
        errors.RegistryError(get, 401, "UNAUTHORIZED: authentication required", hint="log in with: docker login"),
        errors.RegistryUnreachableError(get, "Connection refused"),
        errors.InvalidAnswerError(get, "the manifest is no JSON"),
        contents.UploadLostError(put, "it has 0 of 1048576 bytes"),
        contents.DigestMismatchError(get, _OLD, _NEW),
        contents.ReadBackError(f"{_APP}:latest", _NEW, _OLD),
        contents.ExtractionError("moby/buildkit:v0.32.2", "it holds no /usr/bin/buildctl", "name another"),
        UnknownReachError(_APP, "its list of tags has no end"),
        CannotDeleteError(repository, "405 UNSUPPORTED"),
    ]


def _of_tags() -> list[errors.MultiarchError]:
    left = refusals.UnrestoredTag(f"{_APP}:1.4", _NEW, _OLD, "the registry answered 403")
    return [
        refusals.IncompleteMatrixError([refusals.MissingImage("linux/arm64", _ARM)]),
        refusals.SurplusImageError("linux/arm64", _ARM, ["linux/arm64", "linux/amd64"]),
        refusals.AddedPlatformError("ghcr.io/someone/app@sha256:01…", "linux/arm64"),
        refusals.DroppedPlatformError([refusals.DroppedPlatforms(f"{_APP}:latest", ("linux/s390x",))]),
        refusals.PlatformMismatchError(_ARM, "linux/arm64", "linux/amd64"),
        refusals.OtherCommitError(_ARM, "c0ffee1", "bada551"),
        refusals.ForeignProgramError(_ARM, "linux/arm64", "/app", "amd64"),
        refusals.UnstartableError(_ARM, "linux/arm64", "the first line of /start.sh ends in CR, as on Windows"),
        refusals.BaseMismatchError("app linux/arm64 is not built on base linux/arm64"),
        refusals.SmokeError("linux/arm64", "app --version", "exit status 139"),
        refusals.NotAnImageError(_ARM, "application/vnd.oci.image.index.v1+json"),
        refusals.UnreadableTagError(f"{_APP}:latest", "its index is no JSON"),
        refusals.NotPublishedError(f"{_APP}:latest"),
        refusals.NotRepairedError(f"{_APP}:latest has no linux/arm64"),
        refusals.MovedMeanwhileError(f"{_APP}:latest"),
        refusals.UnkeptRepairError(f"{_APP}:latest", "somebody else has moved it since"),
        refusals.TagsNotMovedError("the registry answered 403", [f"{_APP}:latest"], [left]),
        refusals.CosignMissingError("it is not on PATH"),
        refusals.CosignVersionError("cosign", "2.4.1", 3),
        refusals.SigningError(f"{_APP}@sha256:01…", "signing digest: no quorum"),
    ]
