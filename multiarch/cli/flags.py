"""Flags of the tasks: their lines of help, and their letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoke.tasks import Task, task

if TYPE_CHECKING:
    from collections.abc import Callable

_HELP = {
    "annotation": "annotation of the index, NAME=VALUE; repeatable",
    "build-arg": "build argument, NAME=VALUE, or NAME for the variable of that name; repeatable",
    "allow-dropping": "let the tag lose platforms that it has today",
    "address": "where the server listens: tcp://127.0.0.1:1234, docker-container://buildkit (default: private socket)",
    "build-context": "named context, NAME=DIRECTORY or NAME=ADDRESS; repeatable",
    "context": "directory, or address of a git repository or an archive, that the Dockerfile copies from (default: .)",
    "dest": "directory to put buildctl into (default: the user's cache)",
    "dockerfile": "path of the Dockerfile, - for standard input (default: Dockerfile or Containerfile in the context)",
    "digests": "directory in which build-arch leaves the digest of its image for manifest, in place of a staging tag",
    "frontend": "dockerfile.v0 or gateway.v0",
    "image": "repository to publish to, without tag; repeatable",
    "label": "label of the images, NAME=VALUE; repeatable",
    "into": "published tag in which the platforms that are built take their places; repeatable",
    "json": "print what came out as one line of JSON (docs/outcome.md)",
    "keep-going": "build the other platforms to their end when one has failed, and tell of all",
    "installer": "image that registers the emulators, in place of those that are registered",
    "only-changed": "build what has changed since it was published; what is unchanged gets the tags that are due",
    "no-cache": "run every step again",
    "output": "image (push), none, docker (load), oci,dest=FILE or local,dest=DIR",
    "platform": "platform of the matrix, such as linux/arm64; repeatable",
    "pull": "look for the base images at their registry, also where the builder has them",
    "quiet": "say nothing but what fails",
    "recreate": "replace a running server",
    "reinstall": "replace emulators that are registered, such as old ones",
    "remove": "platform to take out of what is published, such as linux/s390x; repeatable",
    "replace": "PLATFORM=REFERENCE: an image to put in the place of a platform's in what is published; repeatable",
    "resume": "take platforms whose staging image is of this commit and these inputs, and build only the others",
    "report": "write what happened when to FILE.html, a page, or FILE.json",
    "rollback": "put the tags back on what they were before they were published last",
    "shell": "where a RUN fails, open a shell in the state before it; needs a terminal",
    "source": "image of the frontend, for gateway.v0",
    "tag": "tag to publish; repeatable",
    "target": "target of the project, a group or a pattern; repeatable (default: the group default, else all)",
    "to": "with --rollback, the digest to put them back on, sha256:…",
    "verbose": "show each command and each request as it happens, with its time",
}


# The other names of flags, as docker build has them. Invoke would give every flag a letter of its own choice, so that
# -f were --frontend.
_OTHER_NAMES = {"dockerfile": ("file", "f"), "tag": ("t",), "quiet": ("q",)}


class _Task(Task[Any]):
    """Has the short flags of docker build, and no others."""

    def arg_opts(self, name: str, default: str, taken_names: set[str]) -> dict[str, Any]:
        options = super().arg_opts(name, default, taken_names)
        return {**options, "names": [*options["names"], *_OTHER_NAMES.get(name, ())]}


def step_task(**options: Any) -> Callable[[Callable[..., None]], Task[Any]]:
    """Return the decorator of a task with these options of Invoke's ``task``, and no letters but docker build's."""
    decorate: Callable[[Callable[..., None]], Task[Any]] = task(klass=_Task, auto_shortflags=False, **options)
    return decorate


def helps(*names: str) -> dict[str, str]:
    """Return the lines of help for flags."""
    return {name: _HELP[name] for name in names}
