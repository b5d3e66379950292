"""Image references: parsing, printing, and what counts as this very machine."""

from __future__ import annotations

import pytest

from multiarch.image.reference import ImageReference, check_tag, is_loopback, lower_case, safe_tag

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("busybox", "docker.io/library/busybox"),
        ("docker.io/busybox", "docker.io/library/busybox"),
        ("index.docker.io/busybox", "docker.io/library/busybox"),
        ("index.docker.io/someone/app", "docker.io/someone/app"),
        ("someone/app", "docker.io/someone/app"),
        ("someone/app:1.0", "docker.io/someone/app:1.0"),
        (f"someone/app@{DIGEST}", f"docker.io/someone/app@{DIGEST}"),
        (f"someone/app:1.0@{DIGEST}", f"docker.io/someone/app:1.0@{DIGEST}"),
        ("localhost/app", "localhost/app"),
        ("localhost:5000/app:x", "localhost:5000/app:x"),
        ("127.0.0.1:5001/app", "127.0.0.1:5001/app"),
        ("[::1]:5000/app", "[::1]:5000/app"),
        ("ghcr.io/some/deep/path/app", "ghcr.io/some/deep/path/app"),
        ("a/b.c__d-e--f", "docker.io/a/b.c__d-e--f"),
    ],
)
def test_references_are_read_as_by_docker(text: str, expected: str) -> None:
    """Docker Hub and its library may be left out; the full form means itself."""
    reference = ImageReference.parse(text)
    assert expected == str(reference)
    assert reference == ImageReference.parse(expected)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Someone/App", "invalid repository in image reference 'Someone/App'"),
        ("a b", "invalid repository in image reference 'a b'"),
        ("a//b", "invalid repository in image reference 'a//b'"),
        ("a/", "invalid repository in image reference 'a/'"),
        ("", "invalid repository in image reference ''"),
        ("a/-b", "invalid repository in image reference 'a/-b'"),
        (f"ghcr.io/{'a' * 256}", "invalid repository in image reference"),
        ("https://ghcr.io/app", "invalid registry 'https:' in image reference 'https://ghcr.io/app'"),
        ("ghcr.io:http/app", "invalid registry 'ghcr.io:http' in image reference"),
        ("app:", "invalid tag ''"),
        ("app:-x", "invalid tag '-x'"),
        ("app:a:b", "invalid tag 'a:b'"),
        ("app@sha256:12", "invalid digest in image reference 'app@sha256:12'"),
        (f"app@{DIGEST.upper()}", "invalid digest in image reference"),
        ("app@", "invalid digest in image reference 'app@'"),
    ],
)
def test_invalid_part_of_a_reference_is_named(text: str, part: str) -> None:
    """The message quotes the reference."""
    with pytest.raises(ValueError, match=r"^invalid") as caught:
        ImageReference.parse(text)
    assert str(caught.value).startswith(part)


@pytest.mark.parametrize("tag", ["latest", "v1.0-arm_64", "_x", "A", "1", "a" * 128])
def test_valid_tag_is_returned(tag: str) -> None:
    """As it is."""
    assert tag == check_tag(tag)


@pytest.mark.parametrize("tag", ["", ".a", "-a", "a/b", "a b", "ü", "a" * 129, "a\n", "a:b"])
def test_invalid_tag_is_quoted(tag: str) -> None:
    """The distribution specification does not allow it."""
    with pytest.raises(ValueError, match=r"^invalid tag") as caught:
        check_tag(tag)
    assert str(caught.value).startswith(f"invalid tag {tag!r} (")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1", True),
        ("127.9.9.9:1", True),
        ("[::1]", True),
        ("[::1]:5000", True),
        ("::1", True),
        ("::2", False),
        ("2001:db8::1:5000", False),
        ("10.0.0.1:5000", False),
        ("0.0.0.0:5000", False),
        ("docker.io", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com:80", False),
    ],
)
def test_loopback_is_localhost_and_its_addresses(host: str, expected: bool) -> None:
    """With a port or without; other registries must not get plain HTTP."""
    assert expected == is_loopback(host)
    assert expected == ImageReference(host, "app").is_loopback


def test_another_tag_drops_the_digest() -> None:
    """A digest keeps the tag."""
    reference = ImageReference.parse(f"ghcr.io/a/b:1@{DIGEST}")
    assert "ghcr.io/a/b:2" == str(reference.with_tag("2"))
    assert f"ghcr.io/a/b:2@{DIGEST}" == str(reference.with_tag("2").with_digest(DIGEST))
    assert "ghcr.io/a/b" == reference.name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("v1.4_2-x", "v1.4_2-x"),
        ("feature/x", "feature-x-x217d2bf5"),
        ("feature-x", "feature-x"),
        ("nightly-20240501", "nightly-20240501"),
        ("/.x", "x-x38ce3d36"),
        ("\N{LATIN SMALL LETTER A WITH DIAERESIS}", "x33e6d73f"),
        ("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        ("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "xxxxxxxxxxxxxxxxxxxx-x0f46e4b0"),
        ("feature-x-x217d2bf5", "feature-x-x217d2bf5-x9bac7d48"),
        ("xdeadbeef", "xdeadbeef-x15048b88"),
    ],
)
def test_name_becomes_a_tag(name: str, expected: str) -> None:
    """Itself, where it is one; else something that fits, and ends in a digest of the name."""
    assert expected == safe_tag(name, 30) == check_tag(expected)


def test_no_two_names_become_one_tag() -> None:
    """Whatever is replaced, cut off, or looks like a name that was made."""
    names = ["a/b", "a-b", "a--b", "a b", ".a-b", "A-b", "a-b-", "x" * 30, "x" * 31, "x" * 32, "x/" * 99, "", "-", "--"]
    names += [safe_tag(name, 30) for name in names]
    assert len(set(names)) == len({safe_tag(name, 30) for name in names})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ghcr.io/Owner/App", "ghcr.io/owner/app"),
        ("Owner/App:Tag", "owner/app:Tag"),
        ("App", "app"),
        ("LOCAL:5000/A", "LOCAL:5000/a"),
        ("localhost/A", "localhost/a"),
        ("a/b", "a/b"),
    ],
)
def test_repository_becomes_lower_case(text: str, expected: str) -> None:
    """Not the host, nor the tag."""
    assert expected == lower_case(text)
