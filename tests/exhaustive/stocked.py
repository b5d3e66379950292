"""Real registries (Debian's docker-registry, distribution 3) and what builds have left in them; and a walk of its own.

The walk knows nothing of the package: it reads with http.client, and takes for reached whatever looks like a digest.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from lab import distribution
from tests.fleet.parts import Daemon, free_port, listens, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INDEX = "application/vnd.oci.image.index.v1+json"
IMAGE = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
PLATFORMS = {"amd64": {"architecture": "amd64"}, "arm64": {"architecture": "arm64"}, "s390x": {"architecture": "s390x"}}
PLATFORMS |= {"arm-v7": {"architecture": "arm", "variant": "v7"}}
_NONE = {"os": "unknown", "architecture": "unknown"}
_DEBIANS = shutil.which("docker-registry") or "docker-registry"  # looked for before a test sets another PATH
_PROGRAMS: dict[str, Callable[[], str]] = {"2": lambda: _DEBIANS, "3": lambda: str(distribution.program())}


def digest_of(body: bytes) -> str:
    """Return the digest of bytes."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@dataclass
class Stocked:
    """A registry process with the repository ``app``.

    :ivar version: ``2`` or ``3``.
    :ivar deletes: whether it deletes at all.
    """

    folder: Path
    version: str
    deletes: bool = True
    host: str = ""
    _threads: threading.local = field(default_factory=threading.local)
    _connections: list[http.client.HTTPConnection] = field(default_factory=list)
    _blobs: set[str] = field(default_factory=set)
    daemon: Daemon = field(init=False)

    def start(self) -> Stocked:
        """Start it, and wait until it listens."""
        self.folder.mkdir(parents=True)
        port = free_port()
        self.host = f"127.0.0.1:{port}"
        storage = {"filesystem": {"rootdirectory": str(self.folder / "data")}, "delete": {"enabled": self.deletes}}
        config = {"version": 0.1, "log": {"accesslog": {"disabled": True}}, "storage": storage}
        (self.folder / "config.yml").write_text(json.dumps({**config, "http": {"addr": self.host}}))
        command = [_PROGRAMS[self.version](), "serve", str(self.folder / "config.yml")]
        self.daemon = Daemon(command, self.folder / "log")
        self.daemon.start()
        wait_until(lambda: listens("127.0.0.1", port), "the start of the registry")
        return self

    def ask(self, verb: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, str]:
        """Return status, body and Location of an answer; refusals are answers."""
        if not hasattr(self._threads, "http"):
            self._threads.http = http.client.HTTPConnection(self.host, timeout=20)
            self._connections.append(self._threads.http)
        target = path.removeprefix(f"http://{self.host}") if path.startswith("http") else f"/v2/app/{path}"
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        self._threads.http.request(verb, target, body, sent)
        answer = self._threads.http.getresponse()
        return answer.status, answer.read(), answer.headers.get("Location", "")

    def blob(self, body: bytes, media_type: str) -> dict[str, Any]:
        """Put a blob, and return its descriptor."""
        digest = digest_of(body)
        if digest not in self._blobs:
            place = self.ask("POST", "blobs/uploads/", b"")[2]
            mark = "&" if "?" in place else "?"
            status, answer, _ = self.ask(
                "PUT", f"{place}{mark}digest={digest}", body, Content_Type="application/octet-stream"
            )
            assert status == 201, answer
            self._blobs.add(digest)
        return {"mediaType": media_type, "digest": digest, "size": len(body)}

    def manifest(self, value: dict[str, Any], reference: str = "") -> dict[str, Any]:
        """Put a manifest under a tag or its digest, and return its descriptor."""
        body = json.dumps({"schemaVersion": 2, **value}).encode()
        digest = digest_of(body)
        status, answer, _ = self.ask("PUT", f"manifests/{reference or digest}", body, Content_Type=value["mediaType"])
        if status != 201:
            raise LookupError(answer.decode())
        return {"mediaType": value["mediaType"], "digest": digest, "size": len(body)}

    def image(self, slug: str, word: str) -> dict[str, Any]:
        """Put an image, and return its descriptor with its platform."""
        platform = {"os": "linux", **PLATFORMS[slug]}
        config = self.blob(json.dumps({**platform, "config": {"Cmd": [word]}}).encode(), CONFIG)
        layers = [self.blob(f"layer {slug} {word}".encode(), "application/vnd.oci.image.layer.v1.tar")]
        return {**self.manifest({"mediaType": IMAGE, "config": config, "layers": layers}), "platform": platform}

    def attestation(self, image: dict[str, Any], hours: float, form: str = "v1") -> dict[str, Any]:
        """Put the provenance of an image that was built so many hours ago, as BuildKit does; return its descriptor."""
        ended = (datetime.now(timezone.utc) - timedelta(hours=hours)).isoformat().replace("+00:00", "123Z")
        predicate: dict[str, Any] = {"runDetails": {"metadata": {"finishedOn": ended}}}
        if form == "v0.2":
            predicate = {"metadata": {"buildFinishedOn": ended}}
        kind = f"https://slsa.dev/provenance/{form}"
        subject = [{"name": "_", "digest": {"sha256": image["digest"].removeprefix("sha256:")}}]
        statement = {"_type": "https://in-toto.io/Statement/v0.1", "predicateType": kind, "subject": subject}
        layer = self.blob(json.dumps({**statement, "predicate": predicate}).encode(), IN_TOTO)
        layer["annotations"] = {"in-toto.io/predicate-type": kind}
        config = self.blob(json.dumps({**_NONE, "rootfs": {"diff_ids": [layer["digest"]]}}).encode(), CONFIG)
        about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]}
        manifest = self.manifest({"mediaType": IMAGE, "config": config, "layers": [layer]})
        return {**manifest, "platform": _NONE, "annotations": about}

    def stage(self, tag: str, slug: str, word: str, hours: float | None, form: str = "v1") -> list[dict[str, Any]]:
        """Put an image under a staging tag; return the entries that an index has of it.

        :param hours: how long ago its build ended; None for an image without provenance.
        """
        image = self.image(slug, word)
        if hours is None:
            status, body, _ = self.ask("GET", f"manifests/{image['digest']}", Accept=IMAGE)
            assert status == 200
            assert self.ask("PUT", f"manifests/{tag}", body, Content_Type=IMAGE)[0] == 201
            return [image]
        entries = [image, self.attestation(image, hours, form)]
        self.manifest({"mediaType": INDEX, "manifests": entries}, tag)
        return entries

    @property
    def tags(self) -> set[str]:
        """All tags."""
        return set(json.loads(self.ask("GET", "tags/list?n=10000")[1])["tags"] or ())

    def has(self, digest: str) -> bool:
        """Whether a manifest is there."""
        return self.ask("HEAD", f"manifests/{digest}", Accept=f"{IMAGE}, {INDEX}")[0] == 200

    def digest(self, tag: str) -> str:
        """Return the digest of a tag; empty where there is none."""
        status, body, _ = self.ask("GET", f"manifests/{tag}", Accept=f"{IMAGE}, {INDEX}")
        return digest_of(body) if status == 200 else ""

    def walk(self, references: set[str]) -> set[str]:
        """Return the digests of all manifests that references lead to, however deep; each of them was read."""
        found: set[str] = set()
        waiting = references
        while waiting:
            with ThreadPoolExecutor(8) as pool:
                answers = list(
                    pool.map(lambda one: self.ask("GET", f"manifests/{one}", Accept=f"{IMAGE}, {INDEX}"), waiting)
                )
            assert [200] * len(answers) == [status for status, _, _ in answers], sorted(waiting)
            bodies = [body for _, body, _ in answers]
            found |= {digest_of(body) for body in bodies}
            named: set[str] = set()
            for value in map(json.loads, bodies):
                described = [*value.get("manifests", ()), *([value["subject"]] if "subject" in value else ())]
                named |= {digest for one in described for digest in re.findall("sha256:[0-9a-f]{64}", one["digest"])}
            waiting = named - found
        return found

    def stop(self) -> None:
        """End it."""
        for connection in self._connections:
            connection.close()
        self.daemon.end()
