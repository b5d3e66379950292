"""What may happen to a project after a release: each function does one such thing to it."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from multiarch.image.manifest import OCI_INDEX
from multiarch.publish.inputs import ANNOTATION, read_inputs, write_record
from tests.exhaustive.released import git

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.exhaustive.released import Released


def written(name: str, text: str = "x\n", *, commit: bool = False, mode: int = 0o644) -> Callable[[Released], None]:
    """Return what writes a file."""

    def write(it: Released) -> None:
        it.write(name, text, mode=mode)
        if commit:
            it.commit()

    return write


def settings(**more: Any) -> Callable[[Released], None]:
    """Return what lets the app's settings say otherwise."""
    return lambda it: it.of_app(**more)


def ran(*commands: str) -> Callable[[Released], object]:
    """Return what runs git commands; words are apart by blanks."""
    return lambda it: [git(it.path, *command.split()) for command in commands]


def ignored_by_git(it: Released) -> None:
    """Let git ignore a file of the context, which is copied all the same; git is content."""
    it.write(".gitignore", "*.secret\n")
    it.commit()
    it.write("app/a.secret", "x\n")
    assert "" == git(it.path, "status", "--porcelain")


def hidden_from_git(flag: str) -> Callable[[Released], None]:
    """Return what changes a file that git was told not to look at."""

    def hide(it: Released) -> None:
        git(it.path, "update-index", flag, "app/main.py")
        it.write("app/main.py", "other\n")
        assert "" == git(it.path, "status", "--porcelain")

    return hide


def same_size_and_time(it: Released) -> None:
    """Change a file so that its size and its time stay."""
    file = it.path / "app/main.py"
    before = file.stat()
    file.write_text("print[]\n")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def filtered(it: Released) -> None:
    """Have a filter that stores another content than is checked out, as LFS has; git is content."""
    git(it.path, "config", "filter.upper.clean", "tr a-z A-Z")
    git(it.path, "config", "filter.upper.smudge", "tr A-Z a-z")
    it.write(".gitattributes", "*.big filter=upper\n")
    it.write("app/model.big", "content\n")
    it.commit()
    assert "" == git(it.path, "status", "--porcelain")


def line_ends(it: Released) -> None:
    """Let git write other line ends than it stores; git is content."""
    git(it.path, "config", "core.autocrlf", "true")
    for file in it.path.rglob("main.py"):
        file.unlink()
    git(it.path, "checkout", "--", "app/main.py")
    assert (b"print()\r\n", "") == ((it.path / "app/main.py").read_bytes(), git(it.path, "status", "--porcelain"))


def pointer_of_lfs(it: Released) -> None:
    """Commit the pointer of a file that LFS would check out, and have no LFS: the pointer is what is sent."""
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    it.write("app/model.bin", text)
    it.commit()
    it.release()
    it.write("app/model.bin", "m")


def submodule(it: Released) -> None:
    """Have another repository in the context."""
    other = it.path.parent / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "one")
    git(it.path, "submodule", "--quiet", "add", str(other), "app/other")
    it.commit()


def submodule_elsewhere(it: Released) -> None:
    """Have another repository beside the contexts."""
    submodule(it)
    git(it.path, "mv", "app/other", "other")
    it.commit()
    it.release()


def nested_repository(it: Released) -> None:
    """Have a repository in the context that git does not look into."""
    (it.path / "app/nested").mkdir()
    git(it.path / "app/nested", "init", "-q")


def renamed_in_context(it: Released) -> None:
    """Give a directory of the context another name."""
    git(it.path, "mv", "app/lib", "app/library")
    it.commit()


def renamed_context(it: Released) -> None:
    """Give the context another name: what is sent is the same."""
    git(it.path, "mv", "app", "service")
    it.commit()
    it.of_app(context="service")


def shallow(it: Released) -> None:
    """Go on in a clone of the last commit alone."""
    it.write("docs/index.md", "# More\n")
    it.commit()
    clone = it.path.parent / "clone"
    git(it.path.parent, "clone", "-q", "--depth", "1", f"file://{it.path}", str(clone))
    assert "true" == git(clone, "rev-parse", "--is-shallow-repository")
    it.path = clone


def worktree(it: Released) -> None:
    """Go on in another work tree of the repository."""
    other = it.path.parent / "worktree"
    git(it.path, "worktree", "add", "-q", str(other))
    it.path = other


def sparse(it: Released) -> None:
    """Check out a part of the context."""
    git(it.path, "update-index", "--refresh")
    git(it.path, "sparse-checkout", "set", "--no-cone", "/*", "!/app/lib")
    assert not (it.path / "app/lib").exists()


def without_git(it: Released) -> None:
    """Have the files, and no repository."""
    shutil.rmtree(it.path / ".git")


def without_commit(it: Released) -> None:
    """Have a repository in which nothing was committed yet."""
    shutil.rmtree(it.path / ".git")
    git(it.path, "init", "-q")


def outside_unknown(it: Released) -> None:
    """Build from a directory outside of the repository."""
    shutil.copytree(it.path / "app", it.path.parent / "elsewhere", symlinks=True)
    it.of_app(context="../elsewhere")


def outside_known(it: Released) -> None:
    """Build from the same files in another repository, of which they are a part."""
    other = it.path.parent / "elsewhere"
    other.mkdir()
    shutil.copytree(it.path / "app", other / "app", symlinks=True)
    it.of_app(context="../elsewhere/app")
    git(other, "init", "-q")
    git(other, "add", "--all")
    git(other, "commit", "-q", "-m", "one")


def elsewhere(it: Released) -> None:
    """Name a builder for the platform."""
    it.of_app(platforms=[{"platform": "amd64", "builder": "ssh://build@10.0.0.1"}])


def by_a_link(it: Released) -> None:
    """Name the context by a symbolic link to it."""
    (it.path / "app-link").symlink_to("app")
    it.of_app(context="app-link")


def relinked(it: Released) -> None:
    """Let a link in the context point elsewhere."""
    (it.path / "app/link").unlink()
    (it.path / "app/link").symlink_to("tool.sh")


def link_for_file(it: Released) -> None:
    """Put a link in the place of a file, to the same content."""
    (it.path / "app/main.py").rename(it.path / "docs/main.py")
    (it.path / "app/main.py").symlink_to("../docs/main.py")


def mode(permissions: int, name: str = "app/main.py") -> Callable[[Released], None]:
    """Return what gives a file other permissions."""
    return lambda it: (it.path / name).chmod(permissions)


def attribute(it: Released) -> None:
    """Give a file an extended attribute, which BuildKit sends too."""
    os.setxattr(it.path / "app/main.py", "user.note", b"x")


def replaced(it: Released) -> None:
    """Let git show another content for a committed file (git replace), as it is in the directory."""
    old = git(it.path, "rev-parse", "HEAD:app/main.py")
    it.write("app/main.py", "other\n")
    new = git(it.path, "hash-object", "-w", "app/main.py")
    git(it.path, "replace", old, new)


def other_repository(it: Released) -> None:
    """Have an environment that names another repository, as hooks have; nothing else is done."""
    os.environ["GIT_DIR"] = str(it.path.parent / "nowhere")


def moved_tag(it: Released) -> None:
    """Let the tag of the base's own base point to another image."""
    it.server.hold_manifest(
        "alpine", "3", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "x": 1}, OCI_INDEX
    )


def published(change: Callable[[dict[str, Any]], None]) -> Callable[[Released], None]:
    """Return what changes the published index."""

    def publish(it: Released) -> None:
        index = json.loads(it.server.contents["/v2/app/manifests/latest"][1])
        change(index)
        it.server.hold_manifest("app", "latest", index, OCI_INDEX)

    return publish


def without_provenance(it: Released) -> None:
    """Publish the same record on an image without provenance."""
    index = json.loads(it.server.contents["/v2/app/manifests/latest"][1])
    it.hold("app", "latest", None, index["annotations"])


def built_from(*materials: dict[str, Any]) -> Callable[[Released], None]:
    """Return what publishes the same record on an image of other materials."""

    def publish(it: Released) -> None:
        index = json.loads(it.server.contents["/v2/app/manifests/latest"][1])
        it.hold("app", "latest", list(materials), index["annotations"])

    return publish


def base_is_gone(it: Released) -> None:
    """Remove the base that the app was built on from the registry."""
    for path in [path for path in it.server.contents if path.startswith("/v2/base/manifests/")]:
        del it.server.contents[path]


def new_version(it: Released) -> None:
    """Tag a version on what is released already, without a change."""
    git(it.path, "tag", "v1.1.0")
    it.of_app(tags=["{semver}", "latest"])


def next_version(it: Released) -> None:
    """Tag a version after one that has the same files; no tag but that of a version is ever published."""
    it.of_app(tags=["{semver}"])
    git(it.path, "tag", "v1.0.0")
    it.release(tags=("1.0.0",))
    del it.server.contents["/v2/app/manifests/latest"]
    it.write("docs/index.md", "# More\n")
    it.commit()
    git(it.path, "tag", "v1.1.0")


def tagged_base(change: Callable[[Released], object]) -> Callable[[Released], None]:
    """Return what gives the base a tag of its own, releases both, and goes on."""

    def release(it: Released) -> None:
        it.written["targets"]["base"]["tags"] = ["1"]
        it.release()
        project = it.project
        record = {
            ANNOTATION: write_record(read_inputs(project, project.target("base"), git(it.path, "rev-parse", "HEAD")))
        }
        staged = json.loads(it.server.contents["/v2/base/manifests/staged"][1])
        staged["annotations"] = record
        it.server.hold_manifest("base", "1", staged, OCI_INDEX)
        change(it)

    return release


def base_anew(it: Released) -> None:
    """Publish the base anew, from the same inputs."""
    record = json.loads(it.server.contents["/v2/base/manifests/1"][1])["annotations"]
    staged = json.loads(it.server.contents["/v2/base/manifests/staged"][1])
    image = json.loads(it.server.contents["/v2/base/manifests/staged-image"][1])
    image["annotations"] = {"built": "again"}
    again = it.server.hold_manifest("base", "again", image)
    old = staged["manifests"][0]["digest"]
    text = json.dumps({**staged, "annotations": record}).replace(old, again["digest"])
    index = json.loads(text)
    index["manifests"][0]["size"] = again["size"]
    it.server.hold_manifest("base", "1", index, OCI_INDEX)


def argument_of_a_variable(it: Released) -> None:
    """Release with a build argument from a variable, and let the variable have another value."""
    it.of_app(build_args={"BUILD": "env:SOME_BUILD"})
    it.environ["SOME_BUILD"] = "1"
    it.release()
    it.environ["SOME_BUILD"] = "2"


def failed_run(it: Released) -> None:
    """Change a file, and have a run whose transaction fails: what is published is as before."""
    it.write("app/main.py", "new\n")
    it.commit()


def undone(it: Released) -> None:
    """Change a file, release, and go back to what it was: the newest image is another one."""
    it.write("app/main.py", "new\n")
    it.commit()
    it.release()
    git(it.path, "revert", "--no-edit", "HEAD")


def nothing(_: Released) -> None:
    """Let nothing happen."""


def variable(name: str) -> Callable[[Released], None]:
    """Return what sets a variable that BuildKit's client reads by itself."""
    return lambda _: os.environ.update({name: "1"})


def commit_of_a_ci(it: Released) -> None:
    """Release in a CI, whose labels name the commit, and build the next commit there."""
    it.environ |= {"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "7", "GITHUB_REF": "refs/heads/main"}
    it.release()
    it.write("docs/index.md", "# More\n")
    it.commit()


def frontend(it: Released) -> None:
    """Release with a frontend of the Dockerfile's own, which the provenance does not name."""
    it.write("app/Dockerfile", "# syntax=docker/dockerfile:1\nFROM base\nCOPY . /app\n")
    it.commit()
    it.release()


def other_ignore_file(it: Released) -> None:
    """Put an ignore file of the Dockerfile's own in front of the context's."""
    it.write("app/Dockerfile.dockerignore", "")
    it.commit()


def whole_repository(ignored: str) -> Callable[[Released], None]:
    """Return what releases the whole repository as one context, with its ignore file."""

    def release(it: Released) -> None:
        it.write("app/.gitignore", "")
        it.write(".dockerignore", ignored)
        it.of_app(context=".", dockerfile="app/Dockerfile")
        it.commit()
        if ignored:
            it.release()

    return release


def other_platform(it: Released) -> None:
    """Take a platform away from what was published."""
    index = json.loads(it.server.contents["/v2/app/manifests/latest"][1])
    index["manifests"][0]["platform"]["architecture"] = "arm64"
    it.server.hold_manifest("app", "latest", index, OCI_INDEX)


def both(*happenings: Callable[[Released], object]) -> Callable[[Released], object]:
    """Return what lets one thing happen after the other."""
    return lambda it: [happens(it) for happens in happenings]
