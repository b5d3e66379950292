"""Settings of how an image is written: compression, form of attestations, and the same digests from the same commit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiarch.config.checkout import Checkout
    from multiarch.config.layers import Layers

# The levels of each compression (BuildKit, exporter/containerimage/exptypes/keys.go).
_LEVELS = {"gzip": 9, "estargz": 9, "zstd": 22, "uncompressed": 0}
# The convention of reproducible-builds.org, which BuildKit's frontend takes as a build argument.
EPOCH = "SOURCE_DATE_EPOCH"


def read_exporter(layers: Layers) -> tuple[str, ...]:
    """Read the attributes of BuildKit's image exporters."""
    block = layers.block
    attributes = []
    if block.compression is not None:
        if block.compression not in _LEVELS:
            raise layers.error("compression", f"{block.compression!r} is none of {', '.join(_LEVELS)}")
        attributes.append(f"compression={block.compression}")
    if block.compression_level is not None:
        kind = block.compression or "gzip"
        if not 0 <= block.compression_level <= _LEVELS[kind]:
            most = f"from 0 to {_LEVELS[kind]}" if _LEVELS[kind] else "0: it has none"
            raise layers.error("compression_level", f"{block.compression_level} is no level of {kind}; expected {most}")
        attributes.append(f"compression-level={block.compression_level}")
    if block.oci_artifact is not None:
        attributes.append(f"oci-artifact={'true' if block.oci_artifact else 'false'}")
    if block.reproducible:
        attributes.append("rewrite-timestamp=true")
    return tuple(attributes)


def read_epoch(layers: Layers, checkout: Checkout) -> tuple[dict[str, str], str]:
    """Return the build argument with the time of the commit, where builds are to be reproducible.

    :returns: it too, the error of a time that is not known, which matters where something is built.
    """
    if not layers.block.reproducible:
        return {}, ""
    given = checkout.environ.get(EPOCH)
    if given is not None and not re.fullmatch(r"[0-9]{1,12}", given):
        raise layers.error("reproducible", f"the variable {EPOCH} is no number of seconds: {given!r}")
    seconds = given or checkout.commit_seconds
    if not seconds:
        where = layers.where("reproducible")
        return {}, f"{where}: git knows no commit here, whose time the files would get; commit, or set {EPOCH}"
    return {EPOCH: seconds}, ""
