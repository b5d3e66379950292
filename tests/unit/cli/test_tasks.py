"""The Invoke face: what is listed, printed and read, in a project of an adopter's."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from multiarch.cli.tasks import ns
from tests.unit.registry_server import RegistryServer, refusal

if TYPE_CHECKING:
    from tests.unit.project import Project

FLAGS = {
    "setup-binfmt": "installer json platform reinstall target verbose",
    "start-buildkit": "address json platform recreate target verbose",
    "copy-buildctl": "dest json verbose",
    "build-arch": "build-arg build-context context digests dockerfile frontend image json label no-cache output"
    " platform pull quiet report resume shell source tag target verbose",
    "manifest": "allow-dropping annotation digests image inspect json platform quiet remove replace rollback tag"
    " target to verbose",
    "release": "allow-dropping annotation build-arg build-context context dockerfile frontend image into json"
    " keep-going label no-cache only-changed output platform pull quiet report resume source tag target verbose",
    "prune": "all json keep-duration keep-storage verbose",
    "pipeline": "check ci",
    "init": "check",
    "fleet": "verbose",
    "fleet-certs": "dest for renew",
    "fleet-pods": "",
    "doctor": "json platform target verbose",
    "log": "json target verbose",
    "cleanup": "build delete json older-than verbose",
}


def test_an_adopter_gets_the_tasks(project: Project) -> None:
    """`from multiarch import ns` in a tasks.py is all that is needed; each step has its line of help."""
    listed = project.invoke("--list", "--list-format", "json")
    steps = {step["name"]: step["help"] for step in json.loads("\n".join(listed.out))["tasks"]}
    assert (0, [], sorted(FLAGS)) == (listed.status, listed.err, sorted(steps))
    assert [True] * 15 == [len(text) > 20 for text in steps.values()]


def test_every_step_has_its_flags_and_imports_nothing_heavy(project: Project) -> None:
    """Exactly the flags of the design, each with help; what only some steps need is imported where it is used."""
    # In a process of its own: Invoke takes the help out of a task when it is first read.
    program = (
        "import json, sys; from multiarch import ns;"
        "print(json.dumps({name: {a.name: a.help for a in ns[name].get_arguments()} for name in ns.task_names}));"
        "print(json.dumps([name for name in ('docker', 'requests', 'tenacity') if name in sys.modules]))"
    )
    told = project.invoke(program=program)
    flags, heavy = map(json.loads, told.out)
    assert FLAGS == {
        step: " ".join(sorted(name.rstrip("_") for name in helps)).replace("_", "-") for step, helps in flags.items()
    }
    assert [] == [(step, flag) for step, helps in flags.items() for flag, text in helps.items() if not text]
    assert ([], []) == (heavy, told.err)


def test_short_flags_are_those_of_docker_build() -> None:
    """Everybody who builds images knows -f as the Dockerfile's; no other flag has a letter, or a second name."""
    names = {step: {a.names for a in ns[step].get_arguments(ignore_unknown_help=True)} for step in FLAGS}
    several = {step: sorted(" ".join(given) for given in of_step if len(given) > 1) for step, of_step in names.items()}
    build = ["dockerfile file f", "quiet q", "tag t"]
    assert {"build-arch": build, "release": build, "manifest": ["quiet q", "tag t"]} == {
        step: given for step, given in several.items() if given
    }


@pytest.mark.parametrize("flag", ["-f", "--file", "--dockerfile"])
def test_file_is_the_dockerfile(project: Project, flag: str) -> None:
    """By any of its names; and -t is the tag, as for docker build."""
    project.write(invoke_yaml="multiarch: {image: a/b}\n")
    (line,) = project.run("--dry", "build-arch", "--platform", "arm64", flag, "x/D", "-t", "9", "-q").out
    assert [True, True] == [part in line for part in (" --opt filename=D ", ",name=docker.io/a/b:9-arm64,")]


def test_owner_in_upper_case_becomes_lower_case_with_a_word(project: Project) -> None:
    """A forge's variable for the owner may have such letters, which no registry takes."""
    project.write(invoke_yaml="multiarch: {image: ghcr.io/Owner/app}\n")
    told = project.run("--dry", "build-arch", "--platform", "arm64")
    assert [True] == [",name=ghcr.io/owner/app:latest-arm64," in line for line in told.out]
    assert ["multiarch.image[0]: ghcr.io/Owner/app is ghcr.io/owner/app: repositories are lower-case"] == told.err


def test_h_is_for_help_on_every_step(project: Project) -> None:
    """No flag of a step takes ``-h`` away from Invoke."""
    helped = [project.run(step, "-h") for step in FLAGS]
    assert [(0, True)] * 15 == [(told.status, told.out[0].startswith("Usage: ")) for told in helped]


def test_the_console_script_tells_its_version(project: Project) -> None:
    """`multiarch --version` is of this package."""
    from multiarch import __version__

    assert [f"multiarch {__version__}"] == project.run("--version").out


def test_an_unknown_attribute_of_the_package_is_one() -> None:
    """The lazy import of `ns` does not invent others."""
    import multiarch

    with pytest.raises(AttributeError, match="has no attribute 'nope'"):
        multiarch.nope  # noqa: B018


def test_a_variable_replaces_a_list_of_the_file(project: Project) -> None:
    """INVOKE_MULTIARCH_* works over yaml lists, where Invoke alone ends in a traceback, and is beaten by flags."""
    project.write(
        invoke_yaml="multiarch:\n  image: [a/b]\n  attestations: []\n  tags: [one, two]\n  platforms: [linux/amd64]\n"
    )
    words = ("--dry", "manifest", "--tag", "four")
    result = project.invoke(*words, INVOKE_MULTIARCH_IMAGE="c/d", INVOKE_MULTIARCH_PLATFORMS="arm64,s390x")
    assert (0, []) == (result.status, result.err)
    name = "docker.io/c/d:four"
    assert f"docker manifest create {name} {name}-arm64 {name}-s390x" == result.out[0]


def test_a_wrong_variable_over_a_list_is_one_line(project: Project) -> None:
    """And what is wrong in it is told like anything else."""
    project.write(invoke_yaml="multiarch:\n  tags: [one]\n  platforms: [linux/amd64]\n")
    result = project.invoke("manifest", INVOKE_MULTIARCH_PLATFORMS="linux/amr64")
    assert (1, []) == (result.status, result.out)
    assert ["INVOKE_MULTIARCH_PLATFORMS: unknown platform 'linux/amr64'; did you mean linux/arm64?"] == result.err


def test_a_reader_that_leaves_is_no_traceback(project: Project) -> None:
    """`invoke … | head -1` ends quietly."""
    project.write(invoke_yaml="multiarch:\n  platforms: [linux/amd64]\n")
    with subprocess.Popen(
        project.command("--dry", "release"),
        cwd=project.path,
        env=project.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "" == process.stderr.read()


def _staged(server: RegistryServer, project: Project) -> None:
    """Have the image of one platform staged, and a project that publishes it."""
    config = server.hold_blob("app", b'{"os": "linux", "architecture": "arm64"}')
    server.hold_manifest("app", "latest-arm64", {"config": {"digest": config, "size": 40}})
    project.write(
        invoke_yaml=f"multiarch:\n  image: {server.host}/app\n  platforms: [linux/arm64]\n  retry_seconds: 5\n"
    )


def test_results_alone_are_on_standard_output(server: RegistryServer, project: Project) -> None:
    """`ref=$(invoke manifest)` works; retries are told on standard error."""
    _staged(server, project)
    server.table["GET /v2/app/manifests/latest-arm64"] = [refusal(503), server.from_contents]
    result = project.run("manifest")
    index = json.loads(server.contents["/v2/app/manifests/latest"][1])
    (line,) = result.out
    assert (0, f"{server.host}/app:latest") == (result.status, line.partition("@")[0])
    assert server.contents["/v2/app/manifests/latest"] == server.contents[f"/v2/app/manifests/{line.partition('@')[2]}"]
    assert [{"architecture": "arm64", "os": "linux"}] == [entry["platform"] for entry in index["manifests"]]
    assert [True] == ["attempt 1 failed, next in" in line for line in result.err if "not checked" not in line]


def test_publishing_twice_changes_nothing(server: RegistryServer, project: Project) -> None:
    """The step is idempotent: the same line, the same digest."""
    _staged(server, project)
    once, again = project.run("manifest"), project.run("manifest")
    assert (0, once) == (once.status, again)
