"""Evidence of all files of a project, put together: what is stronger wins, and nothing weaker says otherwise.

In this order: our own block, bake, compose, the CI's files, names of Dockerfiles. The first that knows images says
which there are; a weaker one adds to an image what is not known of it, where it is surely about the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from multiarch.adoption import bake, compose, dockerfiles, github, travis
from multiarch.adoption.findings import Doubt, Evidence, Finding, FoundImage, Place
from multiarch.config.project import load_project
from multiarch.config.schema import OF_THE_PROJECT
from multiarch.errors import ConfigurationError
from multiarch.image.reference import ImageReference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

# A directory that is none: what git says of the project makes no setting right or wrong.
NO_CHECKOUT = ".no-checkout"
# Settings that tell images apart.
_BUILD = ("context", "dockerfile", "target")
# Settings that have a path of the project, which must exist.
_PATHS = ("context", "dockerfile")
_MISSING = {
    "image": "nothing names a repository; without one, a release goes to the embedded registry",
    "tags": "nothing names a tag; the usual one is latest",
    "platforms": "nothing says for which platforms; list some, such as linux/arm64",
}


def gather(directory: Path, block: Evidence) -> Evidence:
    """Return what all files of a project say.

    :param block: what our own block says.
    """
    whole = Evidence(block.images, block.doubts, block.default)
    for read in (bake.read, compose.read, travis.read, github.read, dockerfiles.read):
        found = read(directory)
        fitting = tuple(_fitting(image, directory) for image in found.images)
        whole = _with_weaker(whole, replace(found, images=_apart(fitting)))
    return replace(whole, images=tuple(_told(image) for image in _with_bases(whole.images)))


def _with_bases(images: Sequence[FoundImage]) -> Iterator[FoundImage]:
    """Yield the images; one that others are built on has their platforms, and no tags, where it says nothing itself."""
    images = [_on_known(image, {one.name for one in images}) for image in images]
    for image in images:
        above = [one for one in images if f"target:{image.name}" in _contexts(one)]
        findings = dict(image.findings)
        doubted = {doubt.setting for doubt in image.doubts}
        platforms = [one.findings["platforms"] for one in above if "platforms" in one.findings]
        if above and len(platforms) == len(above) and not {"platforms"} & (findings.keys() | doubted):
            every = dict.fromkeys(item for one in platforms for item in one.value if isinstance(item, str))
            findings["platforms"] = Finding(list(every), platforms[0].place)
        if above and not {"image", "tags"} & (findings.keys() | doubted):
            findings["tags"] = Finding([], above[0].findings["contexts"].place)
        yield replace(image, findings=findings)


def _on_known(image: FoundImage, names: set[str]) -> FoundImage:
    """Return an image without its contexts where one of them is a target that is not among the others."""
    bases = {text.removeprefix("target:") for text in _contexts(image) if text.startswith("target:")}
    if bases <= names - {image.name}:
        return image
    place = image.findings["contexts"].place
    doubt = Doubt("contexts", f"{min(bases - (names - {image.name}))} is no other image that is known", place)
    findings = {name: one for name, one in image.findings.items() if name != "contexts"}
    return replace(image, findings=findings, doubts=(*image.doubts, doubt))


def _contexts(image: FoundImage) -> list[str]:
    contexts = image.value("contexts")
    return [text for text in contexts.values() if isinstance(text, str)] if isinstance(contexts, dict) else []


def _with_weaker(strong: Evidence, weak: Evidence) -> Evidence:
    """Return evidence with what weaker evidence adds to it."""
    if not strong.images:
        return Evidence(weak.images, (*strong.doubts, *weak.doubts), weak.default)
    images = list(strong.images)
    doubts = [*strong.doubts, *weak.doubts]
    matches = [[index for index, image in enumerate(images) if _is_same(image, one)] for one in weak.images]
    for one, indices in zip(weak.images, matches, strict=True):
        if len(indices) == 1 and matches.count(indices) == 1:
            images[indices[0]] = _filled(images[indices[0]], one)
        elif one.findings:
            place = next(iter(one.findings.values())).place
            reason = "it is not sure which image this is about" if indices else "this is about another image"
            doubts.append(Doubt("", f"{reason}, and is not taken", place))
    return Evidence(tuple(images), tuple(doubts), strong.default)


def _is_same(strong: FoundImage, weak: FoundImage) -> bool:
    """Whether two files are surely about the same image."""
    ours, theirs = _names(strong), _names(weak)
    if ours and theirs and not ours & theirs:
        return False
    is_built = strong.is_built and weak.is_built
    if is_built and any(strong.value(setting) != weak.value(setting) for setting in _BUILD):
        return False
    return is_built or bool(ours & theirs) or not (ours and theirs)


def _names(image: FoundImage) -> set[str]:
    """Return the repositories of an image, each in one spelling."""
    value = image.value("image")
    names = value.split(",") if isinstance(value, str) else value or ()
    return {_name(str(name).strip()) for name in names}


def _name(text: str) -> str:
    try:
        return ImageReference.parse(text).name
    except ValueError:
        return text


def _filled(strong: FoundImage, weak: FoundImage) -> FoundImage:
    findings = {**strong.findings, **{name: one for name, one in weak.findings.items() if name not in strong.findings}}
    doubts = [doubt for doubt in strong.doubts if doubt.setting in strong.findings or doubt.setting not in findings]
    doubts += [doubt for doubt in weak.doubts if doubt.setting not in strong.findings]
    return replace(strong, findings=findings, doubts=tuple(dict.fromkeys(doubts)))


def _fitting(image: FoundImage, directory: Path) -> FoundImage:
    """Return an image with only those findings that are valid settings, and whose paths exist."""
    findings, doubts = {}, list(image.doubts)
    for setting, finding in image.findings.items():
        problem = _problem(setting, finding, directory)
        if problem:
            doubts.append(Doubt(setting, problem, finding.place))
        else:
            findings[setting] = finding
    is_built = image.is_built and all(setting in findings for setting in _PATHS if setting in image.findings)
    return replace(image, findings=findings, doubts=tuple(doubts), is_built=is_built)


def _problem(setting: str, finding: Finding, directory: Path) -> str:
    """Return why a finding cannot be a setting; empty where it can."""
    paths = [finding.value] if setting in _PATHS else []
    if setting == "platforms":
        paths = [entry["dockerfile"] for entry in finding.value if isinstance(entry, dict)]
    for path in paths:
        if not _exists(directory, path):
            return f"{path} does not exist"
    if setting == "tags" and not finding.value:
        return ""
    try:
        load_project({setting: finding.value}, {}, {}, directory=directory / NO_CHECKOUT)
    except ConfigurationError as error:
        return str(error)
    return ""


def _exists(directory: Path, path: str) -> bool:
    try:
        return (directory / path).exists()
    except (OSError, ValueError):  # its name is too long, or has a NUL
        return False


def _apart(images: Sequence[FoundImage]) -> tuple[FoundImage, ...]:
    """Return the images, each once, and without tags that two of them have."""
    kept: list[FoundImage] = []
    holders: dict[str, FoundImage] = {}
    names: set[str] = set()
    for image in images:
        alike = next((n for n, other in enumerate(kept) if "image" in other.findings and _is_alike(other, image)), None)
        if alike is not None:
            doubts = dict.fromkeys((*kept[alike].doubts, *image.doubts))
            kept[alike] = replace(kept[alike], doubts=tuple(doubts))
            continue
        while image.name in names:
            image = replace(image, name=f"{image.name}-2")
        shared = next((r for r in _references(image) if r in holders), None)
        if shared is not None:
            place = image.findings["image"].place
            doubt = Doubt("image", f"{shared} is of {holders[shared].name} too", place)
            findings = {name: one for name, one in image.findings.items() if name not in ("image", "tags")}
            image = replace(image, findings=findings, doubts=(*image.doubts, doubt))
        holders.update(dict.fromkeys(_references(image), image))
        names.add(image.name)
        kept.append(image)
    return tuple(kept)


def _is_alike(image: FoundImage, other: FoundImage) -> bool:
    """Whether all that is known of two images is the same."""
    values = [{setting: finding.value for setting, finding in one.findings.items()} for one in (image, other)]
    return values[0] == values[1]


def _references(image: FoundImage) -> Iterable[str]:
    return [f"{name}:{tag}" for name in _names(image) for tag in image.value("tags") or ()]


def _told(image: FoundImage) -> FoundImage:
    """Return an image with a doubt for each setting that matters and is missing."""
    known = {*image.findings, *(doubt.setting for doubt in image.doubts)}
    missing = [Doubt(setting, reason) for setting, reason in _MISSING.items() if setting not in known]
    return replace(image, doubts=(*image.doubts, *missing))


def read_block(block: Any, file: str) -> Evidence:
    """Return what our own block says of images.

    :param block: plain data; None for none.
    """
    if not isinstance(block, dict) or not block.keys() - (OF_THE_PROJECT - {"targets"}):
        return Evidence()
    place = Place(file)
    targets = block.get("targets")
    if not isinstance(targets, dict):
        return Evidence(images=(_of_block("", block, place),))
    top = {name: value for name, value in block.items() if name not in OF_THE_PROJECT}
    named = {str(name): own if isinstance(own, dict) else {} for name, own in targets.items()}
    images = [replace(_of_block(name, {**top, **own}, place), is_target=True) for name, own in named.items()]
    return Evidence(images=tuple(images))


def _of_block(name: str, settings: dict[str, Any], place: Place) -> FoundImage:
    """Return an image of our block; ``images`` is another name of ``image``."""
    return FoundImage(
        name, {{"images": "image"}.get(key, key): Finding(value, place) for key, value in settings.items()}
    )
