"""Pods that cannot be used: each fault is named at once, with its remedy, and nothing is built."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.fleet.kubernetes.conftest import NAMESPACE, POOL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fleet.kubernetes.conftest import Pool
    from tests.fleet.parts import Project, Result

RIGHTS = "it needs pods: get, list and pods/exec: get, create (fleet-pods prints the Role)"


def release(project: Project, settings: str, **environ: str) -> Result:
    """Release, and check that it failed in one line, soon, and not again and again."""
    project.write("FROM scratch\nCOPY Dockerfile /\n", settings)
    began = time.monotonic()
    result = project.end(project.begin("release", **environ))
    assert (1, [], True) == (result.status, result.out, time.monotonic() - began < 25), result.err
    assert "attempt" not in result.err
    return result


def last(result: Result) -> str:
    """Return the line that says why."""
    return result.err.splitlines()[-1]


def grant(pool: Pool, user: str, *resources: str) -> Path:
    """Return the kubeconfig of a user who may see pods, and nothing else."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": user, "namespace": NAMESPACE},
        "rules": [{"apiGroups": [""], "resources": [*resources], "verbs": ["get", "list"]}],
    }
    file = pool.cluster.folder / "role.json"
    file.write_text(json.dumps(role))
    pool.cluster.run("apply", "-f", str(file))
    pool.cluster.run("-n", NAMESPACE, "create", "rolebinding", user, f"--role={user}", f"--user={user}")
    return pool.cluster.user(user)


def test_user_without_rights_is_named(inside: Project, pool: Pool) -> None:
    """Who it is by Kubernetes, and what it lacks."""
    environ = pool.environ(pool.cluster.user("stranger"))
    assert f"builder z: user stranger may not list pods of {NAMESPACE}; {RIGHTS}" == last(
        release(inside, pool.settings(), **environ)
    )


def test_user_who_may_only_look_is_named(inside: Project, pool: Pool) -> None:
    """To see pods is not enough to build in them."""
    environ = pool.environ(grant(pool, "onlooker", "pods"))
    line = last(release(inside, pool.settings(), **environ))
    assert (
        f"user onlooker may not exec into pods of {NAMESPACE}; {RIGHTS}" in line
        or "may not be used by onlooker" in line
    )


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ("selector: app=nobody, namespace: builders", "no pod of app=nobody is running and ready; look with kubectl "),
        ("selector: app=buildkit, namespace: builders, context: prod", "kubectl knows no context prod; choose one of "),
    ],
)
def test_pods_that_are_not_there_are_one_line(inside: Project, pool: Pool, pods: str, expected: str) -> None:
    """It says what is wrong with the setting."""
    settings = pool.settings(f"z: {{pods: {{{pods}}}, platforms: [linux/amd64]}}")
    line = last(release(inside, settings))
    assert expected in line


def test_missing_kubectl_is_named(inside: Project, pool: Pool) -> None:
    """It finds the pods, and buildctl dials through it."""
    line = last(release(inside, pool.settings(POOL), PATH=str(inside.path)))
    assert "is reached through the kubectl command, which is not there: install it" in line
