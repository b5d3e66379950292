"""Platforms that images run on: ``os/architecture[/variant]``.

Names and normalisation are those of the OCI image index specification (``platform`` of a descriptor) and of
containerd's ``platforms`` package, so that ``armhf``, ``arm`` and ``linux/arm/v7`` are one and the same.
"""

from __future__ import annotations

import difflib
import re

from msgspec import Struct

from multiarch.image.elf import ELF, Elf

# The systems that BuildKit builds images for; only Linux's are built on the BuildKit that we start.
_SYSTEMS = ("linux", "darwin", "freebsd", "windows")
_ALIASES = {
    "aarch64": ("arm64", ""),
    "armel": ("arm", "v6"),
    "armhf": ("arm", "v7"),
    "armv5": ("arm", "v5"),
    "armv5l": ("arm", "v5"),
    "armv6": ("arm", "v6"),
    "armv6l": ("arm", "v6"),
    "armv7": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "loongarch64": ("loong64", ""),
    "mips64el": ("mips64le", ""),
    "ppc64el": ("ppc64le", ""),
    "x86-64": ("amd64", ""),
    "x86_64": ("amd64", ""),
}
_VARIANTS = {
    "amd64": ("", "v2", "v3", "v4"),
    "arm": ("v5", "v6", "v7", "v8"),
    "arm64": ("", "v8.1", "v8.2", "v8.3", "v8.4", "v8.5", "v8.6", "v9", "v9.1", "v9.2"),
}
# The names of the variants that are left out of the normal form.
_IMPLIED = {"amd64": "v1", "arm64": "v8"}
_DEFAULT_ARM = "v7"


class Platform(Struct, frozen=True, order=True):
    """One platform, normalised: two of them are equal when they mean the same one, and only then."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Parse ``linux/arm64``, ``linux/arm/v7``, ``arm64``, ``armhf``, ``x86_64``, …

        :raises ValueError: images cannot be built for it; the message suggests the nearest that is known.
        """
        parts = text.strip().lower().split("/")
        lacks_os = parts[0] in ELF or parts[0] in _ALIASES
        os, rest = ("linux", parts) if lacks_os else (parts[0], parts[1:])
        if os not in _SYSTEMS or not 1 <= len(rest) <= 2:
            raise ValueError(_unknown(text))
        architecture, variant = _ALIASES.get(rest[0], (rest[0], ""))
        if architecture not in ELF:
            raise ValueError(_unknown(text))
        if len(rest) == 2:
            variant = rest[1] if rest[1].startswith("v") else f"v{rest[1]}"
        return cls.normalised(os, architecture, variant)

    @classmethod
    def normalised(cls, os: str, architecture: str, variant: str = "") -> Platform:
        """Return the platform that an image's config or a descriptor names, in any spelling.

        :raises ValueError: the variant does not exist for that architecture.
        """
        if architecture == "arm" and not variant:
            variant = _DEFAULT_ARM
        if variant == _IMPLIED.get(architecture):
            variant = ""
        if architecture in ELF and variant not in (allowed := _VARIANTS.get(architecture, ("",))):
            names = ", ".join(v for v in allowed if v) or "none"
            raise ValueError(f"unknown variant {variant!r} of {os}/{architecture} (known: {names})")
        return cls(os, architecture, variant)

    @property
    def slug(self) -> str:
        """The platform as part of a tag: ``arm64``, ``arm-v7``, ``windows-amd64``."""
        return "-".join(filter(None, ("" if self.os == "linux" else self.os, self.architecture, self.variant)))

    @property
    def elf(self) -> Elf:
        """The marks of the platform's programs."""
        return ELF[self.architecture]

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


# By kernel, the architectures that it runs; a 64-bit x86 kernel runs 32-bit programs as they are.
_NATIVE = {"amd64": ("amd64", "386")}


def runs_natively(platform: Platform, machine: str, *, aarch32: bool = False) -> bool:
    """Whether a host runs *platform* without an emulator.

    :param machine: the name of its kernel (``uname -m``).
    :param aarch32: whether its CPU has ARM's 32-bit state, which not all arm64 CPUs have.
    """
    host = _ALIASES.get(machine, (machine, ""))[0]
    if host == "arm64" and platform.architecture == "arm":
        return aarch32
    return platform.architecture in _NATIVE.get(host, (host,))


def _unknown(text: str) -> str:
    known = [str(Platform.normalised("linux", architecture)) for architecture in ELF]
    words = {name: name for name in known} | {f"linux/{alias}": f"linux/{alias}" for alias in _ALIASES}
    words |= {name.removeprefix("linux/"): name for name in known}
    near = difflib.get_close_matches(re.sub(r"\s", "", text.lower()), words, n=1, cutoff=0.6)
    hint = f"did you mean {words[near[0]]}?" if near else f"known: {', '.join(known)}"
    return f"unknown platform {text!r}; {hint}"


class Leg(Struct, frozen=True, order=True):
    """One platform of a target, which rows, lines and errors are about: a leg of the build matrix.

    :ivar target: the name of the target; empty where the project has none.
    """

    platform: Platform
    target: str = ""

    def __str__(self) -> str:
        return f"{self.target} {self.platform}" if self.target else str(self.platform)
