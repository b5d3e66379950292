"""Layers: tars that are damaged, hostile or anything at all, in every compression."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
from functools import partial

from hypothesis import given
from hypothesis import strategies as some

from multiarch.image.layers import Layer
from multiarch.image.programs import started_programs
from tests.exhaustive.fuzz.limits import bounded, fuzz
from tests.unit.image.test_tar import END, file, header, meta, record
from tests.unit.images import ARM64

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NAMES = some.sampled_from(
    [
        *(b"app", b"bin/sh", b"/", b"", b".", b"..", b"./app", b"../app", b"a//b/../app", b"bin", b"bin/", b"\xff"),
        *(b".wh.app", b".wh..wh..opq", b"bin/.wh.sh", b".wh.", b"a/" * 48, b"\0app", b"x" * 100),
    ]
) | some.binary(max_size=100)
SIZES = some.sampled_from(
    [b"0", b"1", b"64", b"100", b"777777777777", b"-1", b"9", b"", b" 7 ", b"\x80" + bytes(11), b"\xff" * 12, b"1_0"]
) | some.binary(max_size=12)
KINDS = some.sampled_from([bytes([kind]) for kind in b"0\x001234567SxgXLKVMDN"]) | some.binary(min_size=1, max_size=1)
CONTENTS = some.sampled_from([ARM64, b"", b"#!/bin/sh\n", b"#!", b"#! \n", b"#!app", b"x" * 600]) | some.binary()
RECORDS = some.builds(
    record,
    some.sampled_from([b"path", b"linkpath", b"size", b"GNU.sparse.name", b"GNU.sparse.map", b"comment"]),
    some.sampled_from([b"app", b"0", b"64", b"-1", b"9" * 30, b"", b"\0", b"a=b"]) | some.binary(max_size=20),
)
PARTS = some.one_of(
    some.builds(header, NAMES, SIZES, KINDS, NAMES, some.sampled_from([b"ustar\x0000", b"ustar  \0", b""])),
    some.builds(file, NAMES, CONTENTS),
    some.builds(lambda kind, records: meta(kind, b"".join(records)), KINDS, some.lists(RECORDS, max_size=4)),
    some.builds(meta, some.sampled_from([b"x", b"L", b"K", b"g"]), some.binary(max_size=700)),
    some.binary(max_size=600),
    some.just(bytes(512)),
)
COMPRESSIONS = some.sampled_from([bytes, gzip.compress, bz2.compress, lzma.compress, zstd.compress])
LAYERS = some.builds(
    lambda parts, compress, cut: compress(b"".join(parts) + END)[:cut],
    some.lists(PARTS, max_size=12),
    COMPRESSIONS,
    some.none() | some.integers(0, 4000),
)
WORDS = some.sampled_from(["/app", "app", "sh", "/bin/sh", "", "/", "..", "/a/" * 2000, "-c"]) | some.text(max_size=9)
CONFIGS = some.fixed_dictionaries(
    {},
    optional={
        "Entrypoint": some.lists(WORDS, max_size=4) | WORDS,
        "Cmd": some.lists(WORDS, max_size=4) | WORDS,
        "Env": some.lists(some.sampled_from(["PATH=/bin:/", "PATH", "PATH=" + "/a:" * 5000, "="]), max_size=3),
        "WorkingDir": WORDS,
    },
)


@fuzz
@given(CONFIGS, some.lists(LAYERS, max_size=4))
def test_layers_give_programs_or_notes(config: dict[str, object], blobs: list[bytes]) -> None:
    """Never anything else, and each program or note is text of one line at most."""
    with bounded():
        first, *others = started_programs({"config": config}, [Layer(partial(io.BytesIO, blob)) for blob in blobs])
        for program in (first, *others):
            assert 1 == sum(map(bool, (program.elf, program.note, program.fault)))
            said = program.path + program.note + program.fault
            assert (True, 1) == (len(said.encode()) < 4000, len(said.splitlines()))


SCRIPTS = some.lists(
    some.sampled_from(
        [
            *("if ", "then ", "fi\n", "case x in ", "a) ", ";; ", "esac\n", "while ", "do ", "done\n", "for a in b;"),
            *(
                "{ ",
                "}\n",
                "(",
                ")",
                "$(",
                "`",
                '"',
                "'",
                "${a:-",
                "}",
                "$@",
                "<<E\n",
                "E\n",
                "f() ",
                "&& ",
                "|| ",
                "| ",
            ),
            *(
                "exec ",
                "/app ",
                "app ",
                "set -- ",
                "shift\n",
                "cd /app\n",
                ". /run\n",
                "eval ",
                "A=",
                "$A ",
                "#",
                "\\",
                ";",
            ),
        ]
    )
    | some.text(max_size=3),
    max_size=40,
).map("".join)


@fuzz
@given(SCRIPTS, some.lists(WORDS, max_size=3))
def test_scripts_give_programs_or_notes(script: str, words: list[str]) -> None:
    """Whatever a script is, following it ends, in a few programs and notes of one line."""
    with bounded():
        content = file(b"run", b"#!/bin/sh\n" + script.encode(errors="replace")) + file(b"bin/sh") + file(b"app") + END
        config = {"Entrypoint": ["/run", *words]}
        programs = started_programs({"config": config}, [Layer(partial(io.BytesIO, content))])
        assert len(programs) < 300
        for program in programs:
            assert 1 == sum(map(bool, (program.elf, program.note, program.fault)))
            said = program.path + program.note + program.fault
            assert (True, 1) == (len(said.encode()) < 4000, len(said.splitlines()))


@fuzz
@given(COMPRESSIONS, some.binary(max_size=3000), some.integers(0, 3000), some.binary(min_size=1, max_size=9))
def test_damaged_layers_give_programs_or_notes(compress: type[bytes], junk: bytes, where: int, damage: bytes) -> None:
    """Wherever bytes of a compressed layer are others."""
    with bounded():
        whole = bytearray(compress(file(b"data", junk) + file(b"app") + END))
        whole[where : where + len(damage)] = damage
        (program,) = started_programs({"config": {"Entrypoint": ["/app"]}}, [Layer(partial(io.BytesIO, bytes(whole)))])
        assert 1 == sum(map(bool, (program.elf, program.note, program.fault)))
