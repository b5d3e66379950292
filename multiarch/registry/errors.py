"""Errors of contents that a user can meet; those of requests are in `multiarch.errors`."""

from __future__ import annotations

from multiarch.errors import MultiarchError, unbroken


class UploadLostError(MultiarchError):
    """A registry does not have what it was sent of a blob."""

    def __init__(self, request: str, problem: str) -> None:
        super().__init__(f"{request}: the registry has lost an upload: {problem}; what stands before it?")
        self.cause = f"the registry has lost an upload: {problem}"


class DigestMismatchError(MultiarchError):
    """The bytes that a registry sent do not have the digest that was asked for."""

    def __init__(self, request: str, expected: str, actual: str) -> None:
        super().__init__(f"{request}: expected {expected}, the registry sent {actual}; nothing was published from it")


class ReadBackError(MultiarchError):
    """The tag, read back after it was moved, has another digest."""

    def __init__(self, reference: object, expected: str, actual: str, *, transient: bool = False) -> None:
        actual = actual or "nothing"
        super().__init__(f"{reference} was published as {expected} but reads back as {actual}; who else pushes it?")
        self.transient = transient


class ExtractionError(MultiarchError):
    """A file that is needed cannot be taken out of an image."""

    def __init__(self, image: object, problem: str, remedy: str) -> None:
        super().__init__(unbroken(f"{image}: {problem}; {remedy}"))
