"""The tasks of this repository: those of the package, the lab, and the developer's."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.exceptions import Exit
from invoke.tasks import task

from lab import ns as lab
from multiarch import ns

if TYPE_CHECKING:
    from invoke.context import Context

    from tests.phases import Phase

ROOT = Path(__file__).parent
PYTHON = sys.executable
# Files of tests share nothing, and go to all processors; those on the Docker host share it.
SIDE_BY_SIDE = "-n auto --dist loadfile"
LINT_IMPORTS = Path(PYTHON).with_name("lint-imports")  # not a module that `python -m` runs


@task
def lint(c: Context) -> None:
    """Check style, formatting, the order of imports, spelling and the CI files."""
    c.run(f"{PYTHON} -m ruff check .")
    c.run(f"{PYTHON} -m ruff format --check .")
    c.run(f"{LINT_IMPORTS} --no-logo")
    c.run(f"{PYTHON} -m codespell_lib")
    c.run(f"{PYTHON} -m check_jsonschema --builtin-schema vendor.travis .travis.yml")
    c.run(f"{PYTHON} -m invoke pipeline --ci travis --check")


@task
def schema(c: Context) -> None:
    """Write the schema of invoke.yaml for editors (docs/invoke.schema.json) anew."""
    c.run(f"{PYTHON} -m docs.settings_schema")


@task
def reference(c: Context) -> None:
    """Write the pages about settings and errors (docs/reference) anew, from the code."""
    c.run(f"{PYTHON} -m docs.settings_reference")
    c.run(f"{PYTHON} -m docs.error_reference")


@task
def site(c: Context) -> None:
    """Build the site of docs/ into site/, without the network: no dead link or anchor passes."""
    c.run(f"{PYTHON} -m mkdocs build --strict", env={"NO_MKDOCS_2_WARNING": "1"})


@task
def types(c: Context) -> None:
    """Check types, strictly."""
    c.run(f"{PYTHON} -m mypy")


@task
def unit(c: Context) -> None:
    """Run the tests that need no Docker host; in a CI, check their coverage too."""
    # Not everywhere: before Python 3.14, measuring branches takes half as long again.
    coverage = " --cov --cov-report=" if os.environ.get("CI") == "true" else ""
    c.run(f"{PYTHON} -m pytest {SIDE_BY_SIDE} tests/unit{coverage}")


@task
def exhaustive(c: Context) -> None:
    """Run the tests that go through every fault and every point of failure."""
    c.run(f"{PYTHON} -m pytest {SIDE_BY_SIDE} tests/exhaustive")


@task
def integration(c: Context) -> None:
    """Run the tests on the Docker host that answers (./invokew lab makes one)."""
    c.run(f"{PYTHON} -m pytest tests/integration")


@task
def fleet_test(c: Context) -> None:
    """Run the tests of builders elsewhere, on buildkitd, sshd and Kubernetes of this machine (root, and the lab)."""
    c.run(f"{PYTHON} -m pytest tests/fleet")


@task
def sign_test(c: Context) -> None:
    """Run the tests of signatures, with the real cosign, which the lab builds once: some minutes (root)."""
    c.run(f"{PYTHON} -m pytest tests/signing")


@task
def workload_test(c: Context) -> None:
    """Build the programs of the benchmarks for all their platforms, with three tools (the lab): minutes."""
    c.run(f"{PYTHON} -m pytest tests/workloads")


@task
def test(c: Context) -> None:
    """Run all checks and tests; on Kubernetes, and with cosign, where the lab has it (fleet-test, sign-test)."""
    from lab import cluster, cosign
    from tests.phases import Phase

    fleet = () if cluster.is_cached() else ("--ignore=tests/fleet/kubernetes",)
    elsewhere = [Phase("fleet-test", [PYTHON, "-m", "pytest", "tests/fleet", *fleet])]
    elsewhere += [_phase("sign-test")] if cosign.is_cached() else []
    # Integration is the longest, and mostly waits, so it begins with the others; what computes steps back for it.
    computed = [_phase("unit", nice=5), _phase("exhaustive", nice=10)]
    for lanes in ([[_phase("lint")], [_phase("types")]], [computed, [_phase("integration")], elsewhere]):
        _run_lanes(c, lanes)


def _phase(task: str, nice: int = 0) -> Phase:
    from tests.phases import Phase

    return Phase(task, [PYTHON, "-m", "invoke", "--search-root", str(ROOT), task], nice)


def _run_lanes(c: Context, lanes: list[list[Phase]]) -> None:
    """Run phases side by side; where commands are only shown (--dry), show them."""
    if c.config.run.dry:
        for phase in (phase for lane in lanes for phase in lane):
            c.run(shlex.join(phase.command))
        return
    from tests.phases import run_lanes

    os.environ.update(c.config.run.env)  # what `multiarch.ns` hides from Invoke
    try:
        failed = run_lanes(*lanes)
    except KeyboardInterrupt:
        raise Exit("interrupted", code=130) from None
    if failed:
        raise Exit(f"failed: {', '.join(failed)}", code=1)


ns.add_task(lint)
ns.add_task(schema)
ns.add_task(reference)
ns.add_task(site)
ns.add_task(types)
ns.add_task(unit)
ns.add_task(exhaustive)
ns.add_task(integration)
ns.add_task(fleet_test)
ns.add_task(sign_test)
ns.add_task(workload_test)
ns.add_task(test)
ns.add_collection(lab, "lab")
