"""Entries of binfmt_misc: what the kernel prints, damaged, and whatever else comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from multiarch.image.platform import Platform
from multiarch.steps.setup_binfmt import HostState, parse_entries
from tests.exhaustive.fuzz.limits import bounded, fuzz

PLATFORMS = [Platform.parse(name) for name in ("amd64", "arm64", "arm/v7", "s390x", "386")]
NAMES = some.sampled_from(["qemu-aarch64", "status", "register", "a,b", "", "# entry x", "x" * 300]) | some.text(
    max_size=9
)
HEX = some.sampled_from(["7f454c460201010000000000000000000200b700", "ff" * 20, "f", "zz", "", "7f" * 300, "٣٣"])
NUMBERS = some.integers().map(str) | some.sampled_from(["0", "18", "255", "9" * 5000, "²", "-1"])
LINES = some.one_of(
    some.sampled_from(["enabled", "disabled", "flags: POCF", "flags:", "extension .jar", "magic", "mask"]),
    HEX.map("magic {}".format),
    HEX.map("mask {}".format),
    NUMBERS.map("offset {}".format),
    NAMES.map("# entry {}".format),
    some.text(max_size=30),
)
TEXTS = (
    some.lists(LINES, max_size=30).map("\n".join) | some.text() | some.sampled_from(["# " * 500_000, "\n" * 500_000])
)


@fuzz
@given(TEXTS)
def test_entries_are_read_or_left_out(text: str) -> None:
    """Whatever is read can be asked about every platform."""
    with bounded():
        emulators = tuple(parse_entries(text))
        state = HostState("x86_64", False, emulators)
        for platform in PLATFORMS:
            assert state.name_of(platform)
        for emulator in emulators:
            assert len(emulator.magic) == len(emulator.mask) > 0


@fuzz
@given(HEX, HEX, NUMBERS)
def test_entry_of_the_kernels_form_never_raises(magic: str, mask: str, offset: str) -> None:
    """Each field on its own may be wrong."""
    with bounded():
        text = f"# entry q\nenabled\nflags: F\noffset {offset}\nmagic {magic}\nmask {mask}\n"
        for emulator in parse_entries(text):
            assert isinstance(emulator.runs(PLATFORMS[1]), bool)
