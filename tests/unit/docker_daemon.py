"""A Docker daemon on a real HTTP server, for tests of what it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiarch.docker_info import OWNER
from tests.unit.registry_server import Reply, json_reply

if TYPE_CHECKING:
    from tests.unit.registry_server import RegistryServer, Request

API = "/v1.41"


class Daemon:
    """A Docker daemon on a real HTTP server: it holds containers, each of which is answered for by its name."""

    def __init__(self, server: RegistryServer) -> None:
        self.server = server
        server.otherwise = self._otherwise
        server.table["GET /version"] = [json_reply({"ApiVersion": "1.41"})]
        server.table[f"GET {API}/info"] = [json_reply({"Architecture": "aarch64", "OperatingSystem": "Debian"})]

    def hold(self, name: str, status: str = "running", owner: str = OWNER) -> None:
        """Hold a container, which can be started and removed."""
        shown = {"Id": name, "Name": f"/{name}", "State": {"Status": status}, "Mounts": []}
        answer = json_reply({**shown, "Config": {"Labels": {owner: "x"}, "Tty": False}})
        path = f"{API}/containers/{name}"
        self.server.table[f"GET {path}/json"] = [answer]

        def start(_: object) -> Reply:
            self.hold(name, "running", owner)
            return Reply(204)

        def remove(_: object) -> Reply:
            self.hold_nothing(name)
            return Reply(204)

        self.server.table[f"POST {path}/start"] = [start]
        self.server.table[f"POST {path}/rename"] = [Reply(204)]
        self.server.table[f"PUT {path}/archive"] = [Reply(200)]
        self.server.table[f"DELETE {path}"] = [remove]

    def hold_nothing(self, name: str) -> None:
        """Answer that there is no container of a name."""
        missing = json_reply({"message": "No such container"}, 404)
        for request in ("GET", "json"), ("GET", "logs"), ("GET", "archive"), ("POST", "exec"):
            self.server.table[f"{request[0]} {API}/containers/{name}/{request[1]}"] = [missing]

    def _otherwise(self, request: Request) -> Reply:
        """Know no other container."""
        if request.path.startswith(f"{API}/containers/"):
            return json_reply({"message": "No such container"}, 404)
        return self.server.from_contents(request)

    def looks(self, name: str) -> int:
        """Return how often a container was looked for."""
        return self.server.asked.count(f"GET {API}/containers/{name}/json")
