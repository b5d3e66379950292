"""Files that Invoke reads before us, and faults that nobody has foreseen: one line each, no traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multiarch.steps import manifest

if TYPE_CHECKING:
    from tests.unit.project import Project

LAUGHTER = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"other: {1.20: x}", "a name in it is no text: quote it"),
        (b"1.20: x", "a name in it is no text: quote it"),
        (b"other: {a_b: x, a: {b: y}}", "two names in it are one variable to Invoke (OTHER_A_B)"),
        (b"- a\n- b\n", "it is no mapping of settings"),
        (b"run: 5\n", "a mapping stands where one value belongs, or the other way round"),
        (b"\xff\xfem\0", "it is not UTF-8"),
        (b"a: 2001-99-99\n", "it cannot be read: month must be in 1..12"),
        (b"a: " + b"[" * 3000, "it is nested too deeply"),
        (LAUGHTER.encode(), "its aliases stand for more than 100000 values, or hold themselves"),
        (b"multiarch: &a {tags: *a}\n", "its aliases stand for more than 100000 values, or hold themselves"),
        (None, "it cannot be read: Is a directory"),
    ],
    ids=lambda value: repr(value[:30]) if value else "a directory",
)
def test_a_file_that_invoke_cannot_use_is_named(project: Project, content: bytes | None, problem: str) -> None:
    """Invoke reads it itself, and would end in a traceback."""
    file = project.path / "invoke.yaml"
    file.unlink(missing_ok=True)
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    result = project.invoke("manifest")
    assert (1, [], [f"{file}: {problem}; correct the file"]) == (result.status, result.out, result.err)


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("build_args: {1.20: x}", "multiarch.build_args: expected text as a name: quote it"),
        ("labels: {a_b: x, a: {b: y}}", "multiarch.labels.a: expected text, got {'b': 'y'}"),
        ("1: {2: 3}", "multiarch: expected text as a name: quote it"),
        (f"labels: {'{a: ' * 300}x{'}' * 300}", "multiarch: it is nested more than 20 levels deep; correct the file"),
    ],
)
def test_a_mistake_in_our_block_is_told_as_ours(project: Project, block: str, problem: str) -> None:
    """Invoke, which would make variables of the names, does not look into it; the one line names the setting."""
    project.write(invoke_yaml=f"multiarch: {{{block}}}\n")
    result = project.invoke("manifest")
    assert (1, [], [problem]) == (result.status, result.out, result.err)


def test_names_that_differ_in_case_alone_are_two(project: Project) -> None:
    """As they are to a Dockerfile; to Invoke both were MULTIARCH_BUILD_ARGS_VERSION, and a traceback."""
    project.write(invoke_yaml="multiarch: {platforms: [linux/amd64], build_args: {version: x, VERSION: y}}\n")
    (project.path / "Dockerfile").write_text("FROM scratch\n")
    result = project.invoke("--dry", "build-arch")
    assert (0, []) == (result.status, result.err)
    assert (True, True) == ("build-arg:version=x" in result.out[-1], "build-arg:VERSION=y" in result.out[-1])


def test_a_large_file_is_not_read(project: Project) -> None:
    """The parser would take minutes."""
    project.write(invoke_yaml="#" * 300_000)
    result = project.invoke("manifest")
    assert (1, 1) == (result.status, len(result.err))
    assert "it has more than 262144 bytes" in result.err[0]


@pytest.mark.parametrize("verbose", [False, True])
def test_a_fault_of_ours_is_one_line(project: Project, monkeypatch: pytest.MonkeyPatch, verbose: bool) -> None:
    """With its class, where to report it, and no secret; where it was raised only with --verbose."""
    project.write(invoke_yaml="multiarch: {image: a/b, platforms: [linux/arm64]}\n")

    def fail(_: object) -> tuple[object, ...]:
        raise ZeroDivisionError("at https://me:secret@host/x?token=secret\nand more")

    monkeypatch.setattr(manifest, "run", fail)
    result = project.run("manifest", *(["--verbose"] if verbose else []))
    assert (70, []) == (result.status, result.out)
    assert result.err[0].startswith("internal error: ZeroDivisionError: at https://host/x and more; this is a fault of")
    assert "issue tracker" in result.err[0]
    assert "secret" not in "".join(line for line in result.err if "raise ZeroDivisionError" not in line)
    assert verbose == (len(result.err) > 1)


def test_what_the_system_refuses_is_no_fault_of_ours(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, or a place that may not be written to."""
    project.write(invoke_yaml="multiarch: {image: a/b, platforms: [linux/arm64]}\n")

    def fail(_: object) -> tuple[object, ...]:
        raise OSError(28, "No space left on device", "/some/file")

    monkeypatch.setattr(manifest, "run", fail)
    result = project.run("manifest")
    assert (1, ["/some/file: the system refuses it: No space left on device"]) == (result.status, result.err)
