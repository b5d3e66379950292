"""``release --into``: some platforms are built, and take their places in published tags; the others stay there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from multiarch.config.settings import OutputKind
from multiarch.errors import ConfigurationError
from multiarch.publish.replacement import Replacement
from multiarch.steps import manifest, manifest_repair
from multiarch.steps.release import step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multiarch.config.project import Project, Target
    from multiarch.publish.tags import PublishedTag
    from multiarch.run import Run


class Into(Struct, frozen=True):
    """The step. The tags of ``--into`` are those of the settings.

    :ivar is_narrowed: whether ``--platform`` says what is built.
    :ivar others: flags that are given too, and do not go with it.
    """

    is_narrowed: bool
    others: Sequence[str] = ()

    def run(self, run: Run) -> tuple[PublishedTag, ...]:
        """Build and push the platforms, and replace them in all of the tags or in none; return the tags.

        :raises MultiarchError: what the failing step raised.
        """
        with run.aside:
            return self._run(run)

    def _run(self, run: Run) -> tuple[PublishedTag, ...]:
        from multiarch.steps.release import solves
        from multiarch.steps.resume import Resumption

        self._check(run.project)
        step.check(run)
        manifest_repair.target_of(run, "--into")
        resumption = Resumption(run)
        with run.progress.section("prepare"):
            client, local = step.prepare(run, resumption)
        with run.progress.section("build"):
            digests = solves.build_images(run, client, local, resumption)
            run.aside.wait()  # the staging tags are what the places are taken from
        target = manifest_repair.target_of(run, "--into")  # the builders have said what is built where
        replacements = [
            Replacement(entry.platform, entry.staging.with_digest(digests[target.name][entry.platform]))
            for entry in target.settings.matrix
        ]
        with run.progress.section("publish"), run.progress.detached():
            tags = manifest_repair.repair(run, target, replacements, are_staged=True)
        step.show_table(run)
        return tags

    def commands(self, project: Project) -> list[list[str]]:
        """Return the commands of the build, and the one that replaces: no other tool does that in one write."""
        self._check(project)
        built = step.commands(project)
        return built[: len(built) - len(manifest.commands(project))] + [
            _replacing(target) for target in manifest.published_targets(project)
        ]

    def _check(self, project: Project) -> None:
        if not self.is_narrowed:
            raise ConfigurationError("--into", "say which platforms are built: --platform linux/arm64")
        if self.others:
            raise ConfigurationError("--into", f"does not go with {self.others[0]}")
        if project.settings.build.output.kind not in (OutputKind.IMAGE, OutputKind.NONE):
            raise ConfigurationError("--into", "it pushes images: leave out the output")


def _replacing(target: Target) -> list[str]:
    words = [f"--target={target.name}"] if target.name else []
    words += [f"--image={image}" for image in target.settings.publish.images]
    words += [f"--tag={tag}" for tag in target.settings.publish.tags]
    words += [f"--replace={entry.platform}={entry.staging}" for entry in target.settings.matrix]
    return ["multiarch", "manifest", *words]
