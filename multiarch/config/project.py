"""The project of a run: its targets, what is built on what, and the settings that all of them share."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from multiarch.config.build_values import pairs_of_flags
from multiarch.config.checkout import Checkout
from multiarch.config.layers import join
from multiarch.config.load import read_settings, working_directory
from multiarch.config.settings import OutputKind, Settings
from multiarch.errors import ConfigurationError
from multiarch.image.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from multiarch.config.settings import MatrixEntry
    from multiarch.config.targets import WrittenTarget

_DEEPEST = 100  # targets that are built on each other, one on the next
# Flags that say something of one image.
_OF_ONE = ("image", "tags", "context", "dockerfile", "source")


class Target(Struct, frozen=True, kw_only=True):
    """A named image of the project; the only one of a project without ``targets`` has no name.

    :ivar settings: with the platforms of this run; what all targets share is the same in each.
    :ivar bases: by name of the context, the target that it is built on.
    :ivar is_asked_for: whether its tags move; otherwise it is built for those that are built on it.
    """

    name: str
    settings: Settings
    bases: Mapping[str, str] = field(default_factory=dict)
    is_asked_for: bool = True

    def base_platform(self, base: Target, platform: Platform) -> Platform:
        """Return the platform of a base that a platform of this target is built on; a base of one serves all."""
        platforms = base.settings.platforms
        return platform if platform in platforms else platforms[0]


class Project(Struct, frozen=True, kw_only=True):
    """The targets of a run, each behind those that it is built on.

    :ivar settings: of all targets together: the platforms, repositories and secrets of any.
    """

    targets: tuple[Target, ...]
    settings: Settings

    @classmethod
    def of(cls, settings: Settings) -> Project:
        """Return the project of one image."""
        return cls(targets=(Target(name="", settings=settings),), settings=settings)

    @property
    def asked_for(self) -> tuple[Target, ...]:
        """The targets whose tags move."""
        return tuple(target for target in self.targets if target.is_asked_for)

    @property
    def matrix(self) -> tuple[MatrixEntry, ...]:
        """The platforms of all targets."""
        return tuple(entry for target in self.targets for entry in target.settings.matrix)

    def check_output(self) -> None:
        """Check that what is written or loaded is one image.

        :raises ConfigurationError: several targets are asked for.
        """
        if self.settings.build.output.kind not in (OutputKind.IMAGE, OutputKind.NONE) and len(self.asked_for) > 1:
            name = self.asked_for[0].name
            raise ConfigurationError("output", f"with several targets say which: --target {name}")

    def check_pushes(self) -> None:
        """Check that each target that is pushed has a tag to push. :raises MultiarchError: one has none."""
        for target in self.asked_for:
            if target.settings.publish.push.wanted:
                target.settings.publish.push.check()

    def __iter__(self) -> Iterator[Target]:
        return iter(self.targets)

    def target(self, name: str) -> Target:
        """Return the target of a name."""
        return next(target for target in self.targets if target.name == name)


def load_project(
    configured: object, environ: Mapping[str, str], flags: Mapping[str, Any], *, directory: Path | None = None
) -> Project:
    """Join the layers of configuration, and validate the result.

    :param configured: the ``multiarch`` block of Invoke's configuration, plain data.
    :param environ: variables; those of other programs are ignored.
    :param flags: by setting name; None and empty lists were not given. ``platforms`` and ``targets`` narrow what is
        configured.
    :param directory: whose name is the repository's when no image is configured; the working directory by default.
    :raises ConfigurationError: naming the flag, variable or key, its value, and what is allowed.
    """
    platforms, names = flags.get("platforms") or None, flags.get("targets") or None
    pairs = pairs_of_flags(flags)
    own = {name: value for name, value in flags.items() if name not in ("platforms", "targets", *pairs)}
    layers = join(configured, environ, own)
    checkout = Checkout(environ, directory or working_directory())
    if not layers.block.targets:
        if names or layers.block.groups:
            where = "--target" if names else "multiarch.groups"
            raise ConfigurationError(where, "there are no targets; list some under multiarch.targets (invoke.yaml)")
        settings = read_settings(layers, environ, checkout, pairs, platforms)
        return Project.of(settings)
    from multiarch.config.collisions import check_apart
    from multiarch.config.targets import choose, read_targets

    written = read_targets(layers)
    ordered = _ordered(written)
    asked_for = choose(layers, written, names)
    _check_flags(own, asked_for)
    whole = {
        target.name: read_settings(target.layers, environ, checkout, pairs, None, target.name) for target in ordered
    }
    _check_platforms(ordered, whole)
    check_apart(ordered, whole)
    targets = _narrowed(_built(ordered, asked_for), whole, asked_for, platforms)
    return Project(targets=targets, settings=_together(targets))


def _check_flags(flags: Mapping[str, Any], asked_for: set[str]) -> None:
    for name in _OF_ONE:
        if flags.get(name) and len(asked_for) > 1:
            flag = {"tags": "tag"}.get(name, name)
            raise ConfigurationError(f"--{flag}", f"with several targets say which: --target {min(asked_for)}")


def _ordered(written: Sequence[WrittenTarget]) -> tuple[WrittenTarget, ...]:
    """Return the targets, each behind its bases, else as they are written. :raises ConfigurationError: in a circle."""
    known = {target.name: target for target in written}
    done: dict[str, WrittenTarget] = {}

    def visit(target: WrittenTarget, path: tuple[WrittenTarget, ...]) -> None:
        if target.name in done:
            return
        if len(path) > _DEEPEST:
            problem = f"more than {_DEEPEST} targets are built on each other, one on the next; join some as stages"
            raise ConfigurationError(f"multiarch.targets.{target.group}", problem)
        for base in target.bases.values():
            names = [one.name for one in (*path, target)]
            if base in names:
                raise _circle([known[name] for name in (*names[names.index(base) :], base)])
            visit(known[base], (*path, target))
        done[target.name] = target

    for target in written:
        visit(target, ())
    return tuple(done.values())


def _circle(targets: Sequence[WrittenTarget]) -> ConfigurationError:
    """Return the error of targets each of which is built on the next; the last is the first again."""
    first, second, *_ = targets
    context = next(context for context, base in first.bases.items() if base == second.name)
    sides = [f"{one.name} on {other.name}" for one, other in pairwise(targets[1:])]
    problem = ", and ".join([f"{first.name} is built on {second.name}", *sides])
    return ConfigurationError(f"multiarch.targets.{first.group}.contexts.{context}", problem)


def _check_platforms(written: Sequence[WrittenTarget], whole: Mapping[str, Settings]) -> None:
    """Check that a target has no platform that its base lacks; a base of one platform serves all.

    :param whole: by name of the target, its settings with all platforms.
    :raises ConfigurationError: a target has one.
    """
    for target in written:
        for base in target.bases.values():
            have = [entry.platform for entry in whole[base].matrix]
            for entry in whole[target.name].matrix:
                if len(have) > 1 and entry.platform not in have:
                    known = ", ".join(map(str, have))
                    problem = f"{entry.platform} is not a platform of {base} ({known}), which it is built on"
                    raise ConfigurationError(f"multiarch.targets.{target.group}", problem)


def _built(written: Sequence[WrittenTarget], asked_for: set[str]) -> list[WrittenTarget]:
    """Return the targets that are asked for, and those that they are built on."""
    wanted = set(asked_for)
    for target in reversed(written):
        if target.name in wanted:
            wanted |= set(target.bases.values())
    return [target for target in written if target.name in wanted]


def _narrowed(
    written: Sequence[WrittenTarget],
    whole: Mapping[str, Settings],
    asked_for: set[str],
    wanted: Iterable[str] | None,
) -> tuple[Target, ...]:
    """Return the targets with the platforms of this run: those of ``--platform``, and what these are built on."""
    platforms = _wanted_platforms(wanted, [whole[name] for name in asked_for])
    kept: dict[str, dict[Platform, MatrixEntry]] = {}
    needs: dict[str, set[Platform]] = {}
    for target in reversed(written):
        matrix = {entry.platform: entry for entry in whole[target.name].matrix}
        own = [p for p in matrix if target.name in asked_for and (platforms is None or p in platforms)]
        kept[target.name] = {p: entry for p, entry in matrix.items() if p in own or p in needs.get(target.name, ())}
        for base in target.bases.values():
            have = [entry.platform for entry in whole[base].matrix]
            needs.setdefault(base, set()).update(p if p in have else have[0] for p in kept[target.name] if have)
    targets = []
    for target in written:
        if not kept[target.name] and whole[target.name].matrix:
            continue
        settings = replace(whole[target.name], matrix=tuple(kept[target.name].values()))
        asked = target.name in asked_for
        targets.append(Target(name=target.name, settings=settings, bases=target.bases, is_asked_for=asked))
    return tuple(_without_useless_pushes(targets))


def _wanted_platforms(wanted: Iterable[str] | None, chosen: Sequence[Settings]) -> set[Platform] | None:
    if wanted is None:
        return None
    known = dict.fromkeys(entry.platform for settings in chosen for entry in settings.matrix)
    platforms: set[Platform] = set()
    for text in wanted:
        try:
            platform = Platform.parse(text)
        except ValueError as error:
            raise ConfigurationError("--platform", str(error)) from None
        if platform in platforms:
            raise ConfigurationError("--platform", f"{platform} is given twice")
        if platform not in known:
            problem = f"{platform} is in no target's matrix ({', '.join(map(str, known))})"
            raise ConfigurationError("--platform", problem)
        platforms.add(platform)
    return platforms


def _without_useless_pushes(targets: Sequence[Target]) -> Iterator[Target]:
    """Yield the targets; one without tags of its own pushes nothing where nothing that is built on it does."""
    for target in targets:
        push = target.settings.publish.push
        above = [one.settings.publish.push for one in targets if target.name in one.bases.values()]
        if push.wanted and not target.settings.publish.tags and above and not any(one.wanted for one in above):
            build = replace(target.settings.build, output=replace(target.settings.build.output, kind=OutputKind.NONE))
            publish = replace(target.settings.publish, push=above[0])
            yield replace(target, settings=replace(target.settings, build=build, publish=publish))
        else:
            yield target


def _together(targets: Sequence[Target]) -> Settings:
    """Return the settings of all targets together, for the steps that serve them all."""
    every = [target.settings for target in targets]
    matrix: dict[Platform, MatrixEntry] = {}
    for entry in (entry for settings in every for entry in settings.matrix):
        known = matrix.setdefault(entry.platform, entry)
        builders = () if known.is_local or entry.is_local else known.builders
        matrix[entry.platform] = replace(known, builders=builders, smoke=known.smoke or entry.smoke)
    target = next((target for target in targets if target.is_asked_for), targets[0])
    first, digests = target.settings, target.settings.publish.digests
    images = dict.fromkeys(image for settings in every for image in settings.publish.images)
    pushing = [settings.publish.push for settings in every if settings.publish.push.wanted]
    publish = replace(
        first.publish,
        images=tuple(images),
        embedded=next((settings.publish.embedded for settings in every if settings.publish.embedded), None),
        push=pushing[0] if pushing else first.publish.push,
        digests=digests and digests.removesuffix(f"/{target.name}"),
    )
    secrets = {name: secret for settings in every for name, secret in settings.build.secrets.items()}
    build = replace(first.build, secrets=secrets)
    notes = tuple(dict.fromkeys(note for settings in every for note in settings.notes))
    variables = tuple(dict.fromkeys(name for settings in every for name in settings.variables))
    whole = replace(first, matrix=tuple(matrix.values()), build=build, publish=publish)
    return replace(whole, notes=notes, variables=variables)
