"""The Invoke face of the steps: flags become settings, results become lines, errors become exits. No logic."""

from __future__ import annotations

import atexit
import gc
import os
import shlex
import signal
import sys
from collections import ChainMap
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.exceptions import Exit
from invoke.program import Program
from invoke.tasks import Task, task

import multiarch
from multiarch.configuration import PREFIX, tell_of_yaml
from multiarch.console import progress_for
from multiarch.errors import ConfigurationError, MultiarchError
from multiarch.validation import load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from invoke.context import Context

    from multiarch.session import Session

# Invoke would read these too, and end in a traceback where invoke.yaml has a list in their place; so they are taken out
# of its sight before it looks. What other tasks run with c.run still gets them.
_VARIABLES = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
# Invoke, which reads invoke.yaml, lets the parser's error pass.
sys.excepthook = tell_of_yaml

_HELP = {
    "allow-dropping": "let the tag lose platforms that it has today",
    "address": "where the server listens: tcp://127.0.0.1:1234, docker-container://buildkit (default: private socket)",
    "context": "directory with what the Dockerfile copies (default: .)",
    "dest": "directory to put buildctl into (default: the user's cache)",
    "dockerfile": "path of the Dockerfile (default: Dockerfile in the context)",
    "frontend": "dockerfile.v0 or gateway.v0",
    "image": "repository to publish to, without tag; repeatable",
    "keep-going": "build the other platforms to their end when one has failed, and tell of all",
    "installer": "image that registers the emulators",
    "no-cache": "run every step again",
    "output": "image (push), oci,dest=FILE or local,dest=DIR",
    "platform": "platform of the matrix, such as linux/arm64; repeatable",
    "pull": "look for the base images at their registry, also where the builder has them",
    "quiet": "say nothing but what fails",
    "recreate": "replace a running server",
    "report": "write what happened when to FILE.html, a page, or FILE.json",
    "shell": "where a RUN fails, open a shell in the state before it; needs a terminal",
    "source": "image of the frontend, for gateway.v0",
    "tag": "tag to publish; repeatable",
    "verbose": "show each command and each request as it happens, with its time",
}


class _Task(Task[Any]):
    """Takes ``-h`` for no flag of its own: it is Invoke's, for help."""

    def arg_opts(self, name: str, default: str, taken_names: set[str]) -> dict[str, Any]:
        return super().arg_opts(name, default, taken_names | {"h"})


def _help(*names: str) -> dict[str, str]:
    return {name: _HELP[name] for name in names}


@task(iterable=["platform"], help=_help("platform", "installer", "verbose"))
def setup_binfmt(
    c: Context, platform: list[str] | None = None, installer: str | None = None, verbose: bool = False
) -> None:
    """Register emulators for the platforms that the Docker host cannot run itself (step 1)."""
    from multiarch import binfmt

    with _session(c, verbose=verbose, platforms=platform, installer=installer) as session:
        if c.config.run.dry:
            _show(binfmt.commands(session.settings, os.uname().machine))
        else:
            _results(binfmt.setup_binfmt(session.settings, session.host))


@task(iterable=["platform"], help=_help("platform", "address", "recreate", "verbose"))
def start_buildkit(
    c: Context,
    platform: list[str] | None = None,
    address: str | None = None,
    recreate: bool = False,
    verbose: bool = False,
) -> None:
    """Start the BuildKit server in a container, and print its address (step 2)."""
    from multiarch import buildkit

    with _session(c, verbose=verbose, platforms=platform, address=address, recreate=recreate) as session:
        if c.config.run.dry:
            _show(buildkit.commands(session.settings, os.uname().machine))
        else:
            _results([buildkit.start_buildkit(session.settings, session.host)])


@task(help=_help("dest", "verbose"))
def copy_buildctl(c: Context, dest: str | None = None, verbose: bool = False) -> None:
    """Copy the BuildKit client out of the server's container, and print its path (step 3)."""
    from multiarch import buildctl

    with _session(c, verbose=verbose, dest=dest) as session:
        if c.config.run.dry:
            _show(buildctl.commands(session.settings))
        else:
            _results([buildctl.copy_buildctl(session.settings, session.host)])


@task(
    klass=_Task,
    iterable=["image", "tag"],
    help=_help("image", "tag", "context", "dockerfile", "output", "frontend", "source")
    | _help("no-cache", "pull", "report", "quiet", "verbose", "shell")
    | {"platform": "the platform to build, such as linux/arm64"},
)
def build_arch(
    c: Context,
    platform: str | None = None,
    image: list[str] | None = None,
    tag: list[str] | None = None,
    context: str | None = None,
    dockerfile: str | None = None,
    output: str | None = None,
    frontend: str | None = None,
    source: str | None = None,
    no_cache: bool = False,
    pull: bool = False,
    report: str | None = None,
    quiet: bool = False,
    verbose: bool = False,
    shell: bool = False,
) -> None:
    """Build and push the image of one platform, and print its digest (step 4)."""
    from multiarch import release

    where: dict[str, Any] = {"platforms": [platform] if platform else None, "image": image, "tags": tag}
    what = {"context": context, "dockerfile": dockerfile, "output": output, "frontend": frontend, "source": source}
    flags = where | what | {"no_cache": no_cache, "pull": pull}
    with _session(c, task="build-arch", report=report, quiet=quiet, verbose=verbose, **flags) as session:
        settings = session.settings
        if len(settings.platforms) > 1:
            known = ", ".join(map(str, settings.platforms))
            raise ConfigurationError("--platform", f"build-arch builds one platform; pass one of {known}")
        target = settings.matrix[0]
        if c.config.run.dry:
            _show(release.build_commands(settings, target))
        elif shell:
            from multiarch.shell import build_or_enter

            _results([build_or_enter(session, target)])
        else:
            _results([release.build_one(session, target)])


@task(
    iterable=["platform", "image", "tag"],
    help=_help("platform", "image", "tag", "allow-dropping", "quiet", "verbose")
    | {"inspect": "show what is published under the tag as a table, and write nothing"},
)
def manifest(
    c: Context,
    platform: list[str] | None = None,
    image: list[str] | None = None,
    tag: list[str] | None = None,
    allow_dropping: bool = False,
    inspect: bool = False,
    quiet: bool = False,
    verbose: bool = False,
) -> None:
    """Publish one tag over the images that build-arch pushed, and print its digest (step 5)."""
    where: dict[str, Any] = {"platforms": platform, "image": image, "tags": tag, "allow_dropping": allow_dropping}
    with _session(c, quiet=quiet, verbose=verbose, **where) as session:
        from multiarch import publishing

        if c.config.run.dry:
            _show(publishing.commands(session.settings, inspect=inspect))
        elif inspect:
            _results(publishing.inspect(session))
        else:
            _results(publishing.publish(session).tags)


@task(
    name="release",
    iterable=["platform", "image", "tag"],
    help=_help("platform", "image", "tag", "context", "dockerfile", "frontend", "source")
    | _help("no-cache", "pull", "keep-going", "allow-dropping", "report", "quiet", "verbose"),
)
def release_(
    c: Context,
    platform: list[str] | None = None,
    image: list[str] | None = None,
    tag: list[str] | None = None,
    context: str | None = None,
    dockerfile: str | None = None,
    frontend: str | None = None,
    source: str | None = None,
    no_cache: bool = False,
    pull: bool = False,
    keep_going: bool = False,
    allow_dropping: bool = False,
    report: str | None = None,
    quiet: bool = False,
    verbose: bool = False,
) -> None:
    """Do all of it: build every platform of the matrix, and publish one tag over them (steps 1 to 6)."""
    from multiarch import release

    where: dict[str, Any] = {"platforms": platform, "image": image, "tags": tag}
    what = {"context": context, "dockerfile": dockerfile, "frontend": frontend, "source": source}
    flags = where | what | {"no_cache": no_cache, "pull": pull}
    flags |= {"keep_going": keep_going, "allow_dropping": allow_dropping}
    with _session(c, task="release", report=report, quiet=quiet, verbose=verbose, **flags) as session:
        if c.config.run.dry:
            _show(release.commands(session.settings))
            return
        published = release.release(session)
        for platform_ in session.settings.platforms:
            session.progress.say(f"run it: docker run --rm --platform {platform_} {published[0].reference}")
        _results(published)


ns = Collection(setup_binfmt, start_buildkit, copy_buildctl, build_arch, manifest, release_)
ns.configure({"run": {"env": dict(_VARIABLES)}})


class _Program(Program):
    """The console script, for projects without a tasks.py: its configuration is the working directory's."""

    def parse_collection(self) -> None:
        super().parse_collection()
        self.config.set_project_location(str(Path.cwd()))
        self.config.load_project()


program = _Program(name="multiarch", binary="multiarch", namespace=ns, version=multiarch.__version__)


@contextmanager
def _session(
    c: Context, *, task: str = "", report: str | None = None, quiet: bool = False, verbose: bool = False, **flags: Any
) -> Iterator[Session]:
    """Turn flags into a session, and errors into exits; with a *report* of the *task* if there is to be one."""
    # A run is short and leaves few cycles: to look for them, and once more at the end, takes a tenth of its time.
    gc.disable()
    atexit.register(gc.freeze)
    from multiarch.session import Session

    ends = (signal.SIGTERM, signal.SIGHUP)
    former = {number: signal.signal(number, lambda number, _: sys.exit(128 + number)) for number in ends}
    try:
        settings = load(_plain(c.config.get("multiarch")), ChainMap(_VARIABLES, dict(os.environ)), flags)
        session = Session(settings, progress_for(sys.stderr, os.environ, quiet=quiet, verbose=verbose))
        if report:
            from multiarch.reporting import reporting

            with reporting(session, task, report, dry=bool(c.config.run.dry)):
                yield session
        else:
            yield session
    except MultiarchError as error:
        raise Exit(str(error), code=1) from None
    except BrokenPipeError:
        # Whoever read the results has left; what the interpreter still has for them must not end in a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Exit(code=1) from None
    except KeyboardInterrupt:
        raise Exit("interrupted", code=128 + signal.SIGINT) from None
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        gc.enable()


def _plain(value: Any) -> Any:
    """Undo Invoke's wrapping of mappings."""
    return {key: _plain(value[key]) for key in value} if hasattr(value, "keys") else value


def _show(commands: Iterable[list[str]]) -> None:
    _results(shlex.join(command) for command in commands)


def _results(results: Iterable[object]) -> None:
    for result in results:
        print(result, flush=True)  # noqa: T201 (standard output is the results' alone)
