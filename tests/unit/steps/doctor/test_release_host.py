"""What `release` tells of its Docker host before it builds, without asking anybody for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.unit.docker_daemon import API

if TYPE_CHECKING:
    from tests.unit.project import Result
    from tests.unit.steps.doctor.conftest import Scene


def released(scene: Scene) -> Result:
    """Run a release, which this Docker daemon cannot do in any case."""
    scene.settings["retry_seconds"] = 0
    scene.project.write(invoke_yaml=json.dumps({"multiarch": scene.settings}))
    return scene.project.run("release")


def test_it_ends_where_it_would_fail(scene: Scene) -> None:
    """Tokens and certificates are not valid by such a clock: nothing is begun, and the one answer said so."""
    scene.daemon.ahead = 3600
    done = released(scene)
    assert (1, 1) == (done.status, len(done.err))
    assert "the Docker host's: tokens and certificates are not valid by it; set the clock: timedatectl" in done.err[0]
    assert [f"GET {API}/info"] == [line for line in scene.daemon.server.asked if API in line]


def test_a_warning_ends_nothing(scene: Scene) -> None:
    """It is told before what comes of it."""
    scene.daemon.info |= {"ServerVersion": "18.09.1", "MemTotal": 512 << 20}
    done = released(scene)
    warnings = [line.partition(":")[2].split()[0] for line in done.err if line.startswith("warning: ")]
    assert (["Docker", "the"], True) == (warnings, not done.err[-1].startswith("warning: "))


def test_a_good_host_is_not_told_of(scene: Scene) -> None:
    """What is fine, or not known, is no line of a release."""
    assert [] == [line for line in released(scene).err if "clock" in line or "memory" in line or "warning" in line]
