"""Registries that are published to: reached, login valid, push allowed, and their clocks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from multiarch.errors import ConfigurationError, MultiarchError, RegistryError
from multiarch.formatting import one_line
from multiarch.registry.credentials import check_variables
from multiarch.registry.docker_config import stored_login
from multiarch.steps.doctor import clock
from multiarch.steps.doctor.finding import Finding, failure, ok, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multiarch.image.reference import ImageReference
    from multiarch.run import Run


def examine(run: Run) -> Iterator[Finding]:
    """Yield what each registry says, in the order of the settings; they are asked side by side."""
    from multiarch.concurrency import each

    publish = run.settings.publish
    if publish.embedded:
        yield ok("registry", f"release starts one on {publish.embedded.host}")
        return
    images: dict[str, list[ImageReference]] = {}
    for image in publish.images:
        images.setdefault(image.registry, []).append(image)
    try:
        check_variables(list(images), os.environ)
    except ConfigurationError as error:
        yield failure("login", one_line(str(error)))
    for findings in each(lambda host: list(_of_registry(run, host, images[host])), images):
        yield from findings


def _of_registry(run: Run, host: str, images: list[ImageReference]) -> Iterator[Finding]:
    try:
        answer = run.registries[host].ask_base()
    except RegistryError as error:
        if error.status in (401, 403):
            yield ok("registry", f"{host} answers")
            yield failure("login", one_line(str(error)))
        else:
            yield failure("registry", one_line(str(error)), "see the status page of the registry, or name another")
        return
    except ConfigurationError as error:
        yield failure("login", one_line(str(error)))
        return
    except MultiarchError as error:
        yield failure("registry", one_line(str(error)))
        return
    yield ok("registry", f"{host} answers")
    yield clock.of_registry(host, answer.header("Date"))
    yield _of_login(host, answer.status)
    yield from _of_push(run, images)


def _of_login(host: str, status: int) -> Finding:
    """Return the finding about a login. :param status: of ``GET /v2/`` with it."""
    login = stored_login(host)
    has_login = bool(login.user or login.identity_token)
    if status in (401, 403):
        problem = f"{host} refuses the login" if has_login else f"no login for {host}, and it asks for one"
        return failure("login", problem, f"docker login {host}")
    return ok("login", f"{host} takes the login" if has_login else f"{host} takes requests without a login")


def _of_push(run: Run, images: list[ImageReference]) -> Iterator[Finding]:
    """Yield whether each repository takes an upload, which is begun and cancelled."""
    push = run.settings.publish.push
    if not push.wanted:
        yield ok("push", f"nothing is pushed{push.reason}")
        return
    for image in images:
        try:
            run.registries[image.registry].check_push(image.repository)
        except RegistryError as error:
            remedy = f"have write access to {image.name} given to this user, or create it"
            yield failure("push", one_line(str(error)), remedy)
        except MultiarchError as error:
            yield unknown("push", f"{image.name}: {one_line(str(error))}")
        else:
            yield ok("push", f"{image.name} takes uploads")
