"""What is wrong with a builder, by buildctl's words for it (v0.32.2), where a real one cannot be had in every test."""

from __future__ import annotations

import pytest

from multiarch.buildkit.builder import Builder
from multiarch.buildkit.faults import is_builders_fault
from multiarch.fleet.faults import fault_of, lost

KUBECTL = 'error: failed to list workers: Unavailable: connection error: desc = "error reading server preface: command '
KUBECTL += (
    "[kubectl --context=prod --namespace=builders exec --container= -i x -- buildctl dial-stdio] has exited with "
)
KUBECTL += (
    "exit status 1, make sure the URL is valid, and Docker 18.09 or later is installed on the remote host: stderr="
)
FORBIDDEN = (
    r"Error from server (Forbidden): pods \"x\" is forbidden: User \"ci\" cannot create resource \"pods/exec\" in "
)
FORBIDDEN += r'API group \"\" in the namespace \"builders\"\n"'


@pytest.mark.parametrize(
    ("words", "expected", "brief"),
    [
        (
            KUBECTL + FORBIDDEN,
            (
                "builder z (kube-pod://x): user ci may not exec into pods of builders; it needs pods: get, list and "
                "pods/exec: get, create (fleet-pods prints the Role)"
            ),
            "may not be used by ci",
        ),
        (
            KUBECTL + r'Error from server (NotFound): pods \"x\" not found\n"',
            "builder z (kube-pod://x): there is no pod x; correct its name",
            "is no pod",
        ),
        (
            KUBECTL + r'error: context \"prod\" does not exist\n"',
            "builder z (kube-pod://x): kubectl knows no context prod; choose one of kubectl config get-contexts",
            "has a context that kubectl does not know",
        ),
        (
            (
                'error: failed to call info: Unavailable: connection error: desc = "transport: Error while dialing: '
                r'exec: \"kubectl\": executable file not found in $PATH"'
            ),
            (
                "builder z (kube-pod://x) is reached through the kubectl command, which is not there: install it, or "
                "choose another address"
            ),
            "needs the kubectl command",
        ),
    ],
)
def test_fault_that_lasts(words: str, expected: str, brief: str) -> None:
    """Its line has the builder, the cause and the remedy; a solve that meets it is its builder's to end."""
    fault = fault_of(Builder("kube-pod://x", name="z"), words)
    assert (expected, brief, True) == (str(fault), fault.brief, fault.lasts)
    assert is_builders_fault(words, is_first=True)


def test_fault_that_passes_is_told_with_its_cause() -> None:
    """In one line, without what buildctl says around it, and without secrets."""
    fault = fault_of(Builder("tcp://127.0.0.1:1", name="a"), "error: failed to call info: Unavailable: https://u:p@x\n")
    assert (
        "builder a (tcp://127.0.0.1:1) does not answer: https://x; is it running, and its address right?",
        False,
    ) == (
        str(fault),
        fault.lasts,
    )
    assert "builder a (tcp://127.0.0.1:1) was lost: x y" == str(lost(Builder("tcp://127.0.0.1:1", name="a"), "x\ny"))
    assert 400 > len(str(fault_of(Builder("unix:///x", name="a"), "x" * 10_000)))


@pytest.mark.parametrize(
    ("words", "is_first", "expected"),
    [
        ("failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF", False, True),
        ("Unavailable: closing transport due to: connection error", False, True),
        ("no active session for x: context deadline exceeded", False, True),
        ("failed to push 127.0.0.1:5/x: dial tcp 127.0.0.1:5: connect: connection refused", False, False),
        ('process "/bin/sh -c x" did not complete successfully: exit code: 1', False, False),
        ("dockerfile parse error on line 1: unknown instruction: FORM", False, False),
        ("granting entitlement network.host is not allowed by build daemon configuration", True, False),
        ("could not find secret: stat /x: no such file or directory", True, False),
        ("connection error: dial tcp 127.0.0.1:1: connect: connection refused", True, True),
        ("remote error: tls: certificate required", True, True),
        ("remote error: tls: certificate required", False, False),
    ],
)
def test_what_is_the_builders(words: str, is_first: bool, expected: bool) -> None:
    """What comes before any vertex, or is about the stream; all else is the registry's or the Dockerfile's."""
    assert expected == is_builders_fault(words, is_first=is_first)
