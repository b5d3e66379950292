"""Errors that a user can meet.

``str(error)`` says what is wrong, where, and what to do, in one line; `BuildFailedError`, `NotReadyError` and
`SmokeError` add the last lines of another program's log below it. The task boundary prints it and exits non-zero.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


# Request Timeout, Too Early, Too Many Requests (RFC 9110 section 15, RFC 8470, RFC 6585); so is all of 5xx.
_TRANSIENT_STATUS = frozenset({408, 425, 429})

_ADDRESS = re.compile(r"(?<![\w+.-])[A-Za-z][\w+.-]{0,30}://[^\s'\"<>]*")
_PORT = re.compile(r":\d{1,5}$")


# Advice on a 403 of ghcr.io: a login that is right is refused where the package does not let it write.
PACKAGE_ACCESS = (
    "ghcr.io refuses it: the package's settings (Manage Actions access) must let this repository write, a workflow "
    "needs 'packages: write', and another token the scope write:packages"
)


class MultiarchError(Exception):
    """The base of all errors below: one line for the user, no traceback.

    :ivar cause: what is wrong, without where and what to do, for the line of a retry; None where it is all of the line.
    :ivar transient: whether the same call may succeed a little later.
    """

    cause: str | None = None
    transient: bool = False


class ConfigurationError(MultiarchError):
    """A setting that cannot be used: *where* names the flag, variable or key that it came from."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")


class OutputError(MultiarchError):
    """The results of a step, which is done, cannot be printed; without words where their reader has left."""

    def __init__(self, problem: str = "") -> None:
        super().__init__(f"standard output: {problem}; the step itself is done" if problem else "")


class EmptyMatrixError(MultiarchError):
    """A step that works on platforms was given none."""

    def __init__(self) -> None:
        remedy = "list some under multiarch.platforms (invoke.yaml) or pass --platform linux/arm64"
        super().__init__(f"no platform to build for: {remedy}")


class MissingPathError(MultiarchError):
    """The build context or the Dockerfile does not exist."""

    def __init__(self, what: str, path: object, flag: str, setting: str = "") -> None:
        super().__init__(f"{what} not found: {path}; name the right one with --{flag} or multiarch.{setting or flag}")


class NoDockerError(MultiarchError):
    """Nothing answers where the Docker host should be."""

    def __init__(self, host: str, reason: str) -> None:
        place = f"{shown_address(host)} ({without_secrets(reason)})"
        problem = f"no Docker host at {place}: start Docker, point DOCKER_HOST at one"
        super().__init__(f"{problem}, or, in this project's own repository, run ./invokew lab release")


class DockerPermissionError(MultiarchError):
    """The socket of the Docker host exists, and this user may not use it."""

    def __init__(self, host: str) -> None:
        remedy = "add this user to the docker group (sudo usermod -aG docker $USER, then log in again) or use sudo"
        super().__init__(f"permission denied on the Docker socket {shown_address(host)}: {remedy}")


class DockerError(MultiarchError):
    """The Docker host refused what a step asked of it."""

    def __init__(self, action: str, reason: str) -> None:
        self.reason = unbroken(reason)
        super().__init__(f"Docker could not {action}: {self.reason}")


class DockerNotFoundError(DockerError):
    """What a step asks the Docker host about does not exist, or no longer."""


class DockerConflictError(DockerError):
    """Another process is doing to a container, or has just done, what keeps this from being done: try again."""


class ImageUnavailableError(MultiarchError):
    """An image that a step runs cannot be pulled."""

    def __init__(self, image: str, setting: str, reason: str) -> None:
        is_limited = "toomanyrequests" in reason or "rate limit" in reason
        limit = "log in with docker login, give the Docker daemon a mirror, or " if is_limited else ""
        problem = f"Docker could not pull image {image}: {unbroken(reason)}"
        super().__init__(f"{problem}; {limit}name another with multiarch.{setting}")


class PortTakenError(MultiarchError):
    """Another program listens where a container of ours should."""

    def __init__(self, address: str, remedy: str) -> None:
        super().__init__(f"{address} is already in use on the Docker host; {remedy}")


class ForeignContainerError(MultiarchError):
    """A container has the name that a step needs, and another program made it."""

    def __init__(self, name: str) -> None:
        problem = f"a container named {name!r} exists that was not started by this tool, so it is left alone"
        remedy = f"(docker rm -f {name}), or use it as it is by setting BUILDKIT_HOST=docker-container://{name}"
        super().__init__(f"{problem}: remove it {remedy}")


class EmulatorError(MultiarchError):
    """The installer ran, and the kernel of the Docker host still cannot run these platforms."""

    def __init__(self, missing: Iterable[object], installer: str, output: str) -> None:
        problem = f"no emulator registered for {listed(missing)} after {installer} ran"
        output = unbroken(output) or "nothing"
        super().__init__(f"{problem} (it said: {output}); try another with --installer, or drop the platform")


class NotReadyError(MultiarchError):
    """A server was started and does not answer; its last log lines follow."""

    def __init__(self, what: str, reason: str, log: Sequence[str]) -> None:
        super().__init__("\n".join([f"{what} does not answer: {reason}; its last log lines:", *indented(log)]))


class BuilderUnreachableError(MultiarchError):
    """No BuildKit answers at the address of a builder (BUILDKIT_HOST, ``builder``)."""

    def __init__(self, address: str, reason: str) -> None:
        place, reason = shown_address(address), without_secrets(unbroken(reason))
        super().__init__(f"no BuildKit answers at {place}: {reason}; start it, or correct the address")


class NoBuilderError(MultiarchError):
    """No BuildKit is running that could build."""

    def __init__(self) -> None:
        super().__init__("no BuildKit is running: run the start-buildkit task first, or set BUILDKIT_HOST")


class BuildctlMissingError(MultiarchError):
    """The client is neither where copy-buildctl puts it nor on PATH."""

    def __init__(self, places: Iterable[object]) -> None:
        super().__init__(f"buildctl not found in {listed(places)} or on PATH: run the copy-buildctl task first")


class BuildctlNotExecutableError(MultiarchError):
    """The client exists, and this machine cannot run it."""

    def __init__(self, path: object, reason: str) -> None:
        remedy = "install one for this machine on PATH (on a Mac: brew install buildkit)"
        super().__init__(f"buildctl at {path} cannot run here ({reason}): {remedy}")


class BuildFailedError(MultiarchError):
    """A solve ended in an error.

    :ivar is_refused_push: whether a registry refused to take an image from this user.
    :ivar is_builders: whether the connection to the builder failed, and nothing of the build.
    """

    def __init__(
        self,
        subject: str,
        cause: str,
        *,
        step: str = "",
        where: str = "",
        log: Sequence[str] = (),
        transient: bool = False,
        is_refused_push: bool = False,
        is_builders: bool = False,
    ) -> None:
        place = f" in {step}{f' ({where})' if where else ''}" if step else ""
        super().__init__("\n".join([f"{subject}: build failed{place}: {unbroken(cause)}", *indented(log)]))
        self.cause = unbroken(cause)
        self.transient = transient
        self.is_refused_push = is_refused_push
        self.is_builders = is_builders


# Words of Amazon ECR, Harbor, Docker Hub, Quay, Artifact Registry and Azure, which have no code for it in common.
_IMMUTABLE = re.compile(
    r"immutab|cannot be (overwritten|updated|moved)|tag.{1,200}already exists|write-?protected", re.I
)


class RegistryError(MultiarchError):
    """A registry refused a request.

    :ivar status: the HTTP status.
    :ivar retry_after: seconds the registry asked to wait, None when it did not say.
    :ivar forbids_overwriting: whether it says that a tag can be set once.
    """

    def __init__(
        self, request: str, status: int, reason: str, *, hint: str = "", retry_after: float | None = None
    ) -> None:
        self.forbids_overwriting = 400 <= status < 500 and bool(_IMMUTABLE.search(reason))
        if self.forbids_overwriting:
            hint = "its tags can be set once: publish a new one, with {build} in arch_tag for those of the platforms"
        super().__init__(f"{request}: the registry answered {status} {unbroken(reason)}{'; ' + hint if hint else ''}")
        self.cause = f"{status} {unbroken(reason)}"
        self.transient = is_transient_status(status)
        self.status = status
        self.retry_after = retry_after


class RegistryUnreachableError(MultiarchError):
    """No answer from a registry."""

    def __init__(
        self, request: str, reason: str, *, remedy: str = "is it running and the name right?", transient: bool = True
    ) -> None:
        self.cause = without_secrets(unbroken(reason))
        super().__init__(f"{request}: no answer from the registry: {self.cause}; {remedy}")
        self.transient = transient


class InvalidAnswerError(MultiarchError):
    """A registry answered, and its answer cannot be used."""

    def __init__(self, request: str, problem: str) -> None:
        super().__init__(f"{request}: {unbroken(problem)}")
        self.cause = unbroken(problem)


class StoppedError(MultiarchError):
    """A request was not sent, or not awaited, because the run was stopped."""

    def __init__(self, request: str) -> None:
        super().__init__(f"{request}: stopped")
        self.cause = "stopped"


def is_transient_status(status: int) -> bool:
    """Whether an HTTP status says that trying again may help."""
    return status in _TRANSIENT_STATUS or 500 <= status <= 599


def without_secrets(text: str) -> str:
    """Return a text with each address in it as `shown_address` has it."""
    return _ADDRESS.sub(lambda found: shown_address(found[0]), text)


def shown_address(address: str) -> str:
    """Return an address that may be shown: without its user and password, and on the web without its query.

    The user of ssh is kept, who is no secret there, unlike a token in the place of one.
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        return address
    scheme = scheme.lower()
    if scheme in ("http", "https"):
        rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    # A password may hold a slash, although it should not; a path in front of an @ is no password.
    place = rest.split("/", 1)[0]
    if "@" in place or (":" in place and "@" in rest and not _PORT.search(place)):
        user, _, rest = rest.rpartition("@")
        if scheme == "ssh":
            rest = f"{user.partition(':')[0]}@{rest}"
    return f"{scheme}://{rest}"


def unbroken(text: str) -> str:
    """Return a text in one line."""
    return " ".join(text.split())


def listed(items: Iterable[object]) -> str:
    """Return items with commas between them."""
    return ", ".join(str(item) for item in items)


def indented(lines: Iterable[str]) -> list[str]:
    """Return the lines of another program's log as they stand below an error."""
    return [f"  | {line}" for line in lines]
