"""The tasks about builders elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.cli.entry import print_results, run_of
from multiarch.cli.flags import helps, step_task
from multiarch.formatting import shell_line

if TYPE_CHECKING:
    from invoke.context import Context


@step_task(help=helps("verbose"))
def fleet(c: Context, verbose: bool = False) -> None:
    """Ask each builder elsewhere what it has, and see whether each platform has one that builds it."""
    from multiarch.steps import fleet as step

    with run_of(c, verbose=verbose) as run:
        if c.config.run.dry:
            print_results(shell_line(command) for command in step.commands(run.project))
            return
        state = step.ask(run)
        print_results(state.lines)
        state.check()


@step_task(
    iterable=["for_"],
    help={
        "for": "machine of a builder, by all names that it is reached by: HOST or HOST,NAME,ADDRESS; repeatable",
        "dest": "directory of the certificates (default: ~/.config/multiarch/fleet)",
        "renew": "replace the certificates of these machines and of those who build",
    },
)
def fleet_certs(c: Context, for_: list[str] | None = None, dest: str | None = None, renew: bool = False) -> None:
    """Make the certificates of builders over TLS, and print what brings them to their machines."""
    from multiarch.fleet import certification, setup
    from multiarch.fleet.nodes import read_nodes

    with run_of(c) as run:
        store, nodes = certification.store_at(dest), read_nodes(for_ or ())
        if c.config.run.dry:
            store.check(nodes, renew=renew)
            print_results(map(shell_line, setup.openssl_commands(store, nodes, renew=renew)))
            return
        certification.issue(store, nodes, run.progress.say, renew=renew)
        for line in setup.advice(store, nodes):
            run.progress.say(line)
        print_results(map(shell_line, setup.copy_commands(store, nodes)))


@step_task()
def fleet_pods(c: Context) -> None:
    """Print the Kubernetes objects of builders in pods, for kubectl apply -f -."""
    from multiarch.fleet import deployment

    with run_of(c) as run:
        print_results(deployment.manifest(run.settings, lambda: run.host.info, run.progress.say).splitlines())
