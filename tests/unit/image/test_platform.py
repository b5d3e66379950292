"""Platforms: every spelling, its normal form, what its programs look like, and which host runs them."""

from __future__ import annotations

import pytest

from multiarch.image.platform import Platform, runs_natively


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("amd64", "linux/amd64"),
        ("x86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/arm64", "linux/arm64"),
        ("aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("arm", "linux/arm/v7"),
        ("armhf", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("armv7l", "linux/arm/v7"),
        ("arm/v6", "linux/arm/v6"),
        ("armel", "linux/arm/v6"),
        ("linux/arm/v5", "linux/arm/v5"),
        ("i386", "linux/386"),
        ("linux/386", "linux/386"),
        ("ppc64el", "linux/ppc64le"),
        ("linux/riscv64", "linux/riscv64"),
        (" LINUX/ARM64 ", "linux/arm64"),
    ],
)
def test_every_spelling_has_one_normal_form(text: str, expected: str) -> None:
    """Aliases, implied variants and a missing system are normalised, and the normal form means itself."""
    assert expected == str(Platform.parse(text))
    assert Platform.parse(expected) == Platform.parse(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("linux/amr64", "did you mean linux/arm64?"),
        ("amr64", "did you mean linux/arm64?"),
        ("linux/aarch", "did you mean linux/aarch64?"),
        ("linux / arm64", "did you mean linux/arm64?"),
        ("linux/riscv", "did you mean linux/riscv64?"),
        ("", "known: linux/386, linux/amd64, linux/arm/v7, linux/arm64"),
        ("plan9/vax", "known: linux/386, linux/amd64, linux/arm/v7, linux/arm64"),
        ("plan9/amd64", "did you mean linux/amd64?"),
        ("linux/arm/v7/neon", "did you mean linux/arm/v7?"),
    ],
)
def test_unknown_platform_is_named_with_the_nearest(text: str, hint: str) -> None:
    """It is quoted as it was written; where none is near, all are listed."""
    with pytest.raises(ValueError, match=r"^unknown platform") as caught:
        Platform.parse(text)
    assert str(caught.value).startswith(f"unknown platform {text!r}; {hint}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("linux/arm/v9", "unknown variant 'v9' of linux/arm (known: v5, v6, v7, v8)"),
        ("linux/amd64/v5", "unknown variant 'v5' of linux/amd64 (known: v2, v3, v4)"),
        ("linux/s390x/v2", "unknown variant 'v2' of linux/s390x (known: none)"),
    ],
)
def test_unknown_variant_is_named_with_the_known_ones(text: str, message: str) -> None:
    """A typing error is seen at once."""
    with pytest.raises(ValueError, match=r"^unknown variant") as caught:
        Platform.parse(text)
    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("text", "slug"), [("linux/arm64", "arm64"), ("linux/arm", "arm-v7"), ("armv6", "arm-v6"), ("amd64/v2", "amd64-v2")]
)
def test_slug_is_architecture_and_variant(text: str, slug: str) -> None:
    """Joined by a dash, as part of a tag."""
    assert slug == Platform.parse(text).slug


@pytest.mark.parametrize(
    ("os", "architecture", "variant", "expected"),
    [
        ("linux", "arm64", "v8", "linux/arm64"),
        ("linux", "arm", "", "linux/arm/v7"),
        ("linux", "amd64", "", "linux/amd64"),
        ("windows", "amd64", "", "windows/amd64"),
        ("linux", "sparc64", "", "linux/sparc64"),
    ],
)
def test_fields_of_a_config_are_normalised(os: str, architecture: str, variant: str, expected: str) -> None:
    """They become the same platform as its usual spelling, also one that we cannot build."""
    assert expected == str(Platform.normalised(os, architecture, variant))


@pytest.mark.parametrize(
    ("text", "header"),
    [
        # The first 20 bytes of each port's /bin/true, with EI_OSABI 0 and ET_EXEC.
        ("amd64", "7f454c4602010100000000000000000002003e00"),
        ("386", "7f454c4601010100000000000000000002000300"),
        ("arm64", "7f454c460201010000000000000000000200b700"),
        ("arm", "7f454c4601010100000000000000000002002800"),
        ("s390x", "7f454c4602020100000000000000000000020016"),
        ("ppc64le", "7f454c4602010100000000000000000002001500"),
        ("riscv64", "7f454c460201010000000000000000000200f300"),
        ("mips64", "7f454c4602020100000000000000000000020008"),
    ],
)
def test_header_is_that_of_real_programs(text: str, header: str) -> None:
    """Class, byte order and machine are where elf(5) has them."""
    assert header == Platform.parse(text).elf.header().hex()


@pytest.mark.parametrize(
    ("text", "machine", "aarch32", "expected"),
    [
        ("amd64", "x86_64", False, True),
        ("386", "x86_64", False, True),
        ("arm64", "x86_64", False, False),
        ("arm", "x86_64", True, False),
        ("arm64", "aarch64", False, True),
        ("arm64/v9", "aarch64", False, True),
        ("arm", "aarch64", False, False),
        ("arm", "aarch64", True, True),
        ("amd64", "aarch64", True, False),
        ("arm/v6", "armv7l", False, True),
        ("arm64", "armv7l", False, False),
        ("amd64", "i686", False, False),
        ("ppc64le", "ppc64le", False, True),
        ("arm", "something", True, False),
    ],
)
def test_host_runs_its_own_architecture_and_its_32_bit_one(
    text: str, machine: str, aarch32: bool, expected: bool
) -> None:
    """x86_64 runs 386 as well, and arm64 32-bit ARM where its CPU can."""
    assert expected == runs_natively(Platform.parse(text), machine, aarch32=aarch32)
