"""Values of build arguments, labels and annotations: texts, ``env:NAME``, and names of git's in braces."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from multiarch.config.plain import check_pairs
from multiarch.config.tags import NAMES, Sources
from multiarch.config.values import VARIABLE
from multiarch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a name of each setting is the name of.
_WHAT = {
    "build_args": "a build argument",
    "labels": "a label",
    "annotations": "an annotation",
    "contexts": "a context",
}
_FLAGS = {
    "build_args": "--build-arg",
    "labels": "--label",
    "annotations": "--annotation",
    "contexts": "--build-context",
}
# Braces in braces are of other languages of templates.
_PLACEHOLDER = re.compile(rf"(?<!{{){{({'|'.join(NAMES)})}}(?!}})")
_ENVIRONMENT = "env:"


@dataclass
class ValueReader:
    """Reads the values of pairs.

    :ivar flags: by setting, the pairs of its flag, which win over all others.
    :ivar secret_variables: variables that hold secrets of the build.
    :ivar epoch: a build argument with the time of reproducible builds; empty for others.
    :ivar problems: by setting, the error of a variable that is not set; raised where the value is needed.
    :ivar variables: those that values are taken from, with None for order.
    """

    sources: Sources
    environ: Mapping[str, str] = field(repr=False)
    flags: Mapping[str, Mapping[str, str]]
    secret_variables: frozenset[str]
    epoch: Mapping[str, str]
    problems: dict[str, str] = field(default_factory=dict)
    variables: dict[str, None] = field(default_factory=dict)

    def read(self, name: str, where: str, pairs: Mapping[str, str]) -> dict[str, str]:
        """Return the pairs with their values; without those whose git names do not apply to what is checked out.

        :param name: of their setting.
        :param where: it stands, for errors.
        :raises ConfigurationError: a name that is none, or a secret.
        """
        check_pairs(where, pairs, _WHAT[name])
        values = {key: self._value(name, f"{where}.{key}", text) for key, text in pairs.items()}
        given = {key: self._value(name, _FLAGS[name], text) for key, text in self.flags.get(name, {}).items()}
        return {key: value for key, value in (values | given).items() if value is not None}

    def _value(self, name: str, where: str, text: str) -> str | None:
        variable = text.removeprefix(_ENVIRONMENT) if text.startswith(_ENVIRONMENT) else ""
        if VARIABLE.fullmatch(variable):
            return self._variable(name, where, variable)
        missing = [key for key in _PLACEHOLDER.findall(text) if not self.sources.value(key)]
        return None if missing else _PLACEHOLDER.sub(lambda match: self.sources.value(match[1]), text)

    def _variable(self, name: str, where: str, variable: str) -> str | None:
        if variable in self.secret_variables:
            problem = f"{variable} is a secret (multiarch.secrets), and {_WHAT[name]} stays in the image"
            raise ConfigurationError(where, f"{problem}; mount it where it is needed: RUN --mount=type=secret")
        self.variables[variable] = None
        if variable not in self.environ:
            self.problems.setdefault(name, str(ConfigurationError(where, f"the variable {variable} is not set")))
        return self.environ.get(variable)


def pairs_of_flags(flags: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the pairs of flags by setting; ``NAME=VALUE`` is taken as it is, ``NAME`` from its variable.

    :raises ConfigurationError: a flag is neither, or gives a name twice.
    """
    settings: dict[str, dict[str, str]] = {}
    for name, flag in _FLAGS.items():
        pairs: dict[str, str] = {}
        for text in flags.get(name) or ():
            key, equals, value = text.partition("=")
            if not equals and not (name == "build_args" and VARIABLE.fullmatch(key)):
                expected = "NAME=VALUE, or NAME of a variable" if name == "build_args" else "NAME=VALUE"
                raise ConfigurationError(flag, f"expected {expected}, got {text!r}")
            if key in pairs:
                raise ConfigurationError(flag, f"{key!r} is given twice")
            pairs[key] = value if equals else f"{_ENVIRONMENT}{key}"
        check_pairs(flag, pairs, _WHAT[name])
        settings[name] = pairs
    return settings
