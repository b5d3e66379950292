"""A Docker host that several runs share, on a real HTTP server: its containers change as the requests say."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.unit.docker_daemon import API
from tests.unit.registry_server import Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.registry_server import RegistryServer, Request

_IMAGE = "sha256:1"


@dataclass
class Held:
    """A container of the host.

    :ivar processes: those that run in it beside its own, by their id.
    :ivar ended: those of them that have ended, and are listed for a while, as Podman does it.
    :ivar archives: what was copied into it.
    """

    name: str
    labels: dict[str, str]
    body: dict[str, Any]
    status: str = "created"
    processes: dict[str, list[str]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    archives: list[bytes] = field(default_factory=list)


class SharedHost:
    """The daemon; *before* is called with each request, to let another run come between.

    :ivar histories: the exit status and the output of ``buildctl debug histories``.
    :ivar workers: those of ``buildctl debug workers``.
    :ivar output: what the containers of `run_once` write.
    """

    def __init__(self, server: RegistryServer) -> None:
        self.containers: dict[str, Held] = {}
        self.histories = (0, "TYPE\tREF\nCOMPLETE\tx\n")
        self.workers = (0, "")
        self.before: Callable[[str], None] = lambda _: None
        self.asked: list[str] = []
        self._commands: dict[str, list[str]] = {}
        self._made, self._lock = 0, threading.RLock()
        server.table["GET /version"] = [json_reply({"ApiVersion": "1.41"})]
        server.table[f"GET {API}/info"] = [json_reply({"Architecture": "aarch64", "OperatingSystem": "Debian"})]
        server.otherwise = self._answer

    def named(self, name: str) -> Held | None:
        """Return the container of a name."""
        return next((each for each in self.containers.values() if each.name == name), None)

    def hold(self, name: str, labels: dict[str, str], status: str = "running") -> Held:
        """Hold a container that another run has made."""
        self._made += 1
        held = self.containers[f"id{self._made}"] = Held(name, labels, {}, status)
        return held

    def _answer(self, request: Request) -> Reply:
        with self._lock:
            line = f"{request.verb} {request.path.removeprefix(API)}"
            self.asked.append(line)
            self.before(line)
            parts = request.path.removeprefix(f"{API}/").split("/")
            if parts[0] == "images":
                return json_reply({"Id": _IMAGE, "Architecture": "arm64"})
            if parts == ["containers", "create"]:
                return self._create(request)
            if parts[0] == "exec":
                return self._exec(*parts[1:])
            key = next((k for k, held in self.containers.items() if parts[1] in (k, held.name)), None)
            if key is None:
                return json_reply({"message": "No such container"}, 404)
            return self._container(key, request, parts[2:])

    def _create(self, request: Request) -> Reply:
        name, body = request.query["name"], json.loads(request.body)
        if self.named(name):
            return json_reply({"message": f"the name {name} is in use"}, 409)
        self.hold(name, body["Labels"], "created").body = body
        return json_reply({"Id": f"id{self._made}"}, 201)

    def _container(self, key: str, request: Request, rest: list[str]) -> Reply:
        held = self.containers[key]
        match request.verb, *rest:
            case "GET", "json":
                state = {"Status": held.status}
                config = {"Labels": held.labels, "Tty": False}
                shown = {"Id": key, "Name": f"/{held.name}", "State": state, "Config": config, "Mounts": []}
                return json_reply({**shown, "ExecIDs": list(held.processes) or None})
            case "GET", "archive":
                return json_reply({"message": "no such file"}, 404)
            case "PUT", "archive":
                held.archives.append(request.body)
            case "POST", "rename":
                if self.named(request.query["name"]):
                    return json_reply({"message": "the name is in use"}, 409)
                held.name = request.query["name"]
            case "POST", "start":
                held.status = "running"
            case "POST", "stop":
                held.status = "exited"
            case "POST", "exec":
                self._commands["e1"] = json.loads(request.body)["Cmd"]
                return json_reply({"Id": "e1"}, 201)
            case ("DELETE",):
                del self.containers[key]
        return Reply(204)

    def _exec(self, process: str, action: str) -> Reply:
        others = {k: v for held in self.containers.values() for k, v in held.processes.items()}
        if process in others:
            is_running = all(process not in held.ended for held in self.containers.values())
            return json_reply({"Running": is_running, "ProcessConfig": {"arguments": others[process]}})
        answers = {"histories": self.histories, "workers": self.workers}
        status, output = answers.get(self._commands.get(process, [""])[-1], (0, ""))
        if action == "json":
            return json_reply({"ExitCode": status})
        text = output.encode()
        frame = b"\x01\0\0\0" + len(text).to_bytes(4, "big") + text if text else b""
        # As Docker does it: the connection ends with the output, which comes after the head.
        return Reply(200, frame, sent=len(frame), pause=0.02)
