"""The mirror of Docker Hub: a registry on loopback, filled over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from lab.errors import LabError
from lab.paths import CACHE, MIRROR_STORAGE

if TYPE_CHECKING:
    import requests

PORT = 5055
ADDRESS = f"http://127.0.0.1:{PORT}"
CONFIG_FILE = CACHE / "mirror.yml"
CONFIG = f"""\
version: 0.1
log:
  level: warn
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {MIRROR_STORAGE}
  delete:
    enabled: true
http:
  addr: 127.0.0.1:{PORT}
"""

_TIMEOUT = 60  # seconds; the mirror hashes a large blob before it answers


def tagged(repository: str, tag: str) -> str | None:
    """Return the digest that a tag of the mirror points to, read from its storage: the mirror need not run."""
    tags = MIRROR_STORAGE / "docker/registry/v2/repositories" / repository / "_manifests/tags"
    try:
        return (tags / tag / "current/link").read_text()
    except FileNotFoundError:
        return None


class Mirror:
    """A client that uploads to the mirror."""

    def __init__(self) -> None:
        """Open a session; nothing is sent yet."""
        import requests

        self._http = requests.Session()
        # A proxy from the environment cannot reach our loopback interface.
        self._http.trust_env = False

    def put_blob(self, repository: str, digest: str, content: bytes | Path) -> None:
        """Upload a blob that the repository does not have."""
        blobs = f"{ADDRESS}/v2/{repository}/blobs"
        if self._http.head(f"{blobs}/{digest}", timeout=_TIMEOUT).status_code == 200:
            return
        started = self._checked(self._http.post(f"{blobs}/uploads/", timeout=_TIMEOUT))
        location = urljoin(f"{ADDRESS}/", started.headers["Location"])
        headers = {"Content-Type": "application/octet-stream"}
        if isinstance(content, Path):
            with content.open("rb") as stream:
                answer = self._http.put(
                    location, params={"digest": digest}, data=stream, headers=headers, timeout=_TIMEOUT
                )
        else:
            answer = self._http.put(
                location, params={"digest": digest}, data=content, headers=headers, timeout=_TIMEOUT
            )
        self._checked(answer)

    def put_manifest(self, repository: str, reference: str, media_type: str, content: bytes) -> None:
        """Put a manifest under a tag or its digest."""
        url = f"{ADDRESS}/v2/{repository}/manifests/{reference}"
        headers = {"Content-Type": media_type}
        self._checked(self._http.put(url, data=content, headers=headers, timeout=_TIMEOUT))

    @staticmethod
    def _checked(answer: requests.Response) -> requests.Response:
        if not answer.ok:
            raise LabError(
                f"the mirror refused {answer.request.method} {answer.url}: {answer.status_code} {answer.text}"
            )
        return answer
