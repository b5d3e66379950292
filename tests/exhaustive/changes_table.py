"""What ``--only-changed`` says of a target after each thing that may happen to it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from multiarch.publish.inputs import ANNOTATION
from tests.exhaustive.happenings import (
    argument_of_a_variable,
    attribute,
    base_anew,
    base_is_gone,
    both,
    built_from,
    by_a_link,
    commit_of_a_ci,
    elsewhere,
    failed_run,
    filtered,
    frontend,
    hidden_from_git,
    ignored_by_git,
    line_ends,
    link_for_file,
    mode,
    moved_tag,
    nested_repository,
    new_version,
    next_version,
    nothing,
    other_ignore_file,
    other_platform,
    other_repository,
    outside_known,
    outside_unknown,
    pointer_of_lfs,
    published,
    ran,
    relinked,
    renamed_context,
    renamed_in_context,
    replaced,
    same_size_and_time,
    settings,
    shallow,
    sparse,
    submodule,
    submodule_elsewhere,
    tagged_base,
    undone,
    variable,
    whole_repository,
    without_commit,
    without_git,
    without_provenance,
    worktree,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.exhaustive.released import Released

OK = "unchanged"
APP = "not what HOST/app:latest was built from"
FRONTEND = "its provenance does not name its frontend docker.io/docker/dockerfile:1"
PLATFORMS = f"{APP}: platforms"
POLICY = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"
MALFORMED = "a provenance of HOST/app:latest cannot be read: a material has no address, or no digest"
UNREADABLE = (
    "what is published cannot be read (GET HOST/app/manifests/latest: no answer from the registry:"
    " Connection refused; is it running and the name right?)"
)


@dataclass(frozen=True)
class Case:
    """Something that happens after a release. :ivar expected: what is said of the app then."""

    name: str
    happens: Callable[[Released], object]
    expected: str


X = {"uri": "https://example.org/x", "digest": {"sha256": "0" * 64}}
PINNED = {"uri": f"pkg:docker/other?digest=sha256:{'0' * 64}", "digest": {"sha256": "0" * 64}}


def other(names: str) -> str:
    """Return the reason of other inputs. :param names: of those."""
    return f"HOST/app:latest was built from other inputs: {names}"


CASES = [
    Case("nothing happens", nothing, OK),
    # Files.
    Case("a committed file outside of the contexts", written("docs/index.md", "y\n", commit=True), OK),
    Case("an uncommitted file outside of the contexts", written("docs/index.md", "y\n"), OK),
    Case(
        "a committed file in the context",
        written("app/main.py", commit=True),
        other("context"),
    ),
    Case(
        "a new committed file",
        written("app/new.py", commit=True),
        other("context"),
    ),
    Case("a file that is not committed", written("app/main.py"), other("context")),
    Case(
        "a staged file",
        both(written("app/new.py"), ran("add --all")),
        other("context"),
    ),
    Case("an untracked file", written("app/new.py"), other("context")),
    Case("an untracked file that is not sent", written("app/a.log"), OK),
    Case("an untracked directory that is not sent", written("app/out/a/b"), OK),
    Case(
        "an untracked file that git ignores, and that is sent",
        ignored_by_git,
        other("context"),
    ),
    Case(
        "a file that is gone",
        lambda it: (it.path / "app/main.py").unlink(),
        other("context"),
    ),
    Case(
        "an empty directory",
        lambda it: (it.path / "app/empty").mkdir(),
        other("context"),
    ),
    Case("a pipe", lambda it: os.mkfifo(it.path / "app/pipe"), "app/pipe is a device or a pipe"),
    Case("a file of the same size and time", same_size_and_time, other("context")),
    Case(
        "a file that is assumed to be unchanged",
        hidden_from_git("--assume-unchanged"),
        other("context"),
    ),
    Case(
        "a file that git skips",
        hidden_from_git("--skip-worktree"),
        other("context"),
    ),
    Case("a file that git shows as another one", replaced, other("context")),
    Case(
        "another name of a directory in the context",
        renamed_in_context,
        other("context"),
    ),
    Case("another name of the context", renamed_context, OK),
    Case("a context by a symbolic link", by_a_link, OK),
    Case("a link that points elsewhere", relinked, other("context")),
    Case("a link in the place of a file", link_for_file, other("context")),
    Case("a file that may be executed", mode(0o755), other("context")),
    Case("a file that others may not read", mode(0o600), other("context")),
    Case(
        "a directory that others may write to",
        mode(0o777, "app/lib"),
        other("context"),
    ),
    Case("an extended attribute", attribute, other("context")),
    Case("a filter of git", filtered, other("context")),
    Case("line ends that git writes", line_ends, other("context")),
    Case(
        "a file of LFS in the place of its pointer",
        pointer_of_lfs,
        other("context"),
    ),
    # Repositories.
    Case("a submodule in the context", submodule, other("context")),
    Case("a submodule elsewhere", submodule_elsewhere, OK),
    Case("a repository in the context", nested_repository, other("context")),
    Case("a shallow clone", shallow, OK),
    Case("another work tree", worktree, OK),
    Case("a part that is checked out", sparse, other("context")),
    Case("no repository", without_git, OK),
    Case("no commit", without_commit, OK),
    Case("an environment of another repository", other_repository, OK),
    Case("a context outside of repositories", outside_unknown, OK),
    Case("a context in another repository", outside_known, OK),
    Case(
        "the whole repository, with .git",
        whole_repository(""),
        other("context, ignore file"),
    ),
    Case("the whole repository, without .git", whole_repository(".git\n"), OK),
    # Dockerfiles and ignore files.
    Case(
        "another Dockerfile",
        written("app/Dockerfile", "FROM base\n", commit=True),
        other("Dockerfile, context"),
    ),
    Case(
        "another ignore file",
        written("app/.dockerignore", "*.log\n", commit=True),
        other("context, ignore file"),
    ),
    Case(
        "an ignore file of the Dockerfile",
        other_ignore_file,
        other("context, ignore file"),
    ),
    Case(
        "a frontend that the provenance does not name",
        frontend,
        "the provenance does not tell of its frontend docker.io/docker/dockerfile",
    ),
    Case(
        "a frontend that is not known",
        written("app/Dockerfile", "# syntax=example.org/own:1\nFROM base\n", commit=True),
        other("Dockerfile, context"),
    ),
    # Settings.
    Case("a build argument", settings(build_args={"A": "1"}), other("build_args")),
    Case(
        "a build argument of a variable",
        argument_of_a_variable,
        other("build_args"),
    ),
    Case("a label", settings(labels={"org.example.a": "b"}), other("labels")),
    Case("the label of the commit alone", commit_of_a_ci, OK),
    Case(
        "an annotation",
        settings(annotations={"org.example.a": "b"}),
        other("annotations"),
    ),
    Case(
        "a record that is set by hand",
        settings(annotations={"multiarch.inputs": "{}"}),
        other("annotations"),
    ),
    Case("another stage", settings(target="test"), other("target")),
    Case(
        "a platform more",
        lambda it: it.written.update(platforms=["amd64", "arm64"]),
        other(
            "Dockerfile, annotations of platforms, bases, build_args, context, contexts, ignore file, platforms, target"
        ),
    ),
    Case("another compression", settings(compression="zstd"), other("exporter")),
    Case(
        "a time for all files",
        variable("SOURCE_DATE_EPOCH"),
        other("SOURCE_DATE_EPOCH, bases"),
    ),
    Case(
        "a policy of sources",
        variable(POLICY),
        "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY may put other images in the place of those that it names",
    ),
    Case("no cache", lambda it: it.written.update(no_cache=True), "no_cache runs every step again"),
    Case("a secret", settings(secrets={"token": "env:TOKEN"}), "the secret token is not compared"),
    Case("ssh", settings(ssh=["default"]), "the secret default is not compared"),
    Case("a remote context", settings(context="https://example.org/a.git"), "its context is https://example.org/a.git"),
    Case(
        "a named context that is remote",
        settings(contexts={"base": "target:base", "lib": "https://example.org/a.git"}),
        "its context lib is https://example.org/a.git",
    ),
    Case(
        "a named context that is not committed",
        both(settings(contexts={"base": "target:base", "docs": "docs"}), written("docs/new.md")),
        other("contexts"),
    ),
    Case("a builder elsewhere", elsewhere, OK),
    # What it is built on.
    Case("a file of the base", written("base/new", commit=True), other("bases")),
    Case(
        "a file of the base that is not committed",
        written("base/new"),
        other("bases"),
    ),
    Case("a moved tag of the base's own base", moved_tag, "HOST/alpine:3, which it is built on, is another now"),
    Case("a base that is gone", base_is_gone, "HOST/base@DIGEST, which it is built on, is gone"),
    Case("a base with a tag", tagged_base(nothing), OK),
    Case(
        "a base with a tag that has changed",
        tagged_base(written("base/new", commit=True)),
        other("bases"),
    ),
    Case(
        "a base with a tag that was released anew",
        tagged_base(base_anew),
        "base, which it is built on: another image of it is published now",
    ),
    Case("a base with a tag whose own base moved", tagged_base(moved_tag), "base, which it is built on, has changed"),
    # What is published.
    Case(
        "no record",
        published(lambda index: index.pop("annotations")),
        "HOST/app:latest does not say what it was built from",
    ),
    Case(
        "a record that is none",
        published(lambda index: index["annotations"].update({ANNOTATION: "{"})),
        "HOST/app:latest does not say what it was built from",
    ),
    Case("no provenance", without_provenance, "linux/amd64 of HOST/app:latest has no provenance"),
    Case(
        "a provenance without the base", built_from(), "base, which it is built on: the provenance does not tell of it"
    ),
    Case("a file from the web", built_from(X), "it was built from https://example.org/x, which may be another now"),
    Case(
        "an image that is pinned, and no base",
        built_from(PINNED),
        "base, which it is built on: the provenance does not tell of it",
    ),
    Case(
        "a malformed provenance",
        built_from({"uri": 1}),
        "a provenance of HOST/app:latest cannot be read: a material has no address, or no digest",
    ),
    Case("another platform than is said", other_platform, "HOST/app:latest has other platforms"),
    Case(
        "nothing published",
        lambda it: it.server.contents.pop("/v2/app/manifests/latest"),
        "nothing is published under its tags",
    ),
    Case("a new version of the same files", new_version, OK),
    Case("the next version of the same files", next_version, "nothing is published under its tags"),
    Case("a run that failed", failed_run, other("context")),
    Case("a change that was undone", undone, other("context")),
    Case(
        "a registry that does not answer",
        lambda it: it.server.pause(),
        "what is published cannot be read (GET HOST/app/manifests/latest: no answer from the registry: "
        "Connection refused; is it running and the name right?)",
    ),
]
