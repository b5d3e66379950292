"""Images to make an index of: plain ones with a config and two layers, the lower with a shell of its platform."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import requests

from multiarch.image.manifest import DOCKER_MANIFEST, Descriptor, Manifest, digest_of
from multiarch.image.platform import Platform

if TYPE_CHECKING:
    from multiarch.registry.client import Registry

_SHELL_SIZE = 1 << 20
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def push_image(host: str, repository: str, platform: Platform) -> Manifest:
    """Push what an image consists of, and return its manifest, which is yet to be put under tags."""
    # Incompressible, as programs nearly are, and different for each platform.
    filling = hashlib.shake_256(str(platform).encode()).digest(_SHELL_SIZE)
    tars = [_tar("bin/sh", platform.elf.header() + filling), _tar("etc/motd", f"{platform}\n".encode())]
    layers = [_upload(host, repository, _LAYER, gzip.compress(tar, mtime=0)) for tar in tars]
    named = {"os": platform.os, "architecture": platform.architecture}
    named |= {"variant": platform.variant} if platform.variant else {}
    run = {"config": {"Cmd": ["/bin/sh"]}, "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]}}
    config = _upload(host, repository, _CONFIG, json.dumps({**named, **run}).encode())
    body = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config.json}
    body["layers"] = [layer.json for layer in layers]
    return Manifest(DOCKER_MANIFEST, json.dumps(body).encode())


def published(registry: Registry, repository: str, tag: str) -> dict[Platform, str]:
    """Return what an index says: the digest for each platform."""
    index = registry.manifest(repository, tag)
    digests = {}
    for entry in index.entries if index else ():
        if not entry.is_attestation:
            platform = entry.platform or {}
            name = [str(platform.get(key) or "") for key in ("os", "architecture", "variant")]
            digests[Platform.normalised(*name)] = entry.digest
    return digests


def _tar(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o755
        tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _upload(host: str, repository: str, media_type: str, content: bytes) -> Descriptor:
    digest = digest_of(content)
    begun = requests.post(f"http://{host}/v2/{repository}/blobs/uploads/", timeout=30)
    begun.raise_for_status()
    where = urljoin(begun.url, begun.headers["Location"])
    where += f"{'&' if '?' in where else '?'}digest={digest}"
    headers = {"Content-Type": "application/octet-stream"}
    requests.put(where, data=content, headers=headers, timeout=30).raise_for_status()
    return Descriptor(media_type, digest, len(content))
