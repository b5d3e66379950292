"""Whether the images of a run are pushed, and why not."""

from __future__ import annotations

from msgspec import Struct

from multiarch.errors import MultiarchError


class Push(Struct, frozen=True):
    """Whether images are pushed, and why not.

    :ivar wanted: whether the output is a push.
    :ivar withheld: why a CI pushes nothing by default; empty where it does.
    :ivar untagged: the error of tags none of which applies to what is checked out; empty where one does.
    """

    wanted: bool
    withheld: str = ""
    untagged: str = ""

    def check(self) -> None:
        """Check that there is a tag to push. :raises MultiarchError: none of the tags applies."""
        if self.untagged:
            raise MultiarchError(self.untagged)

    @property
    def reason(self) -> str:
        """The end of a sentence that says that nothing is pushed: the reason behind a colon, or nothing."""
        return f": {self.withheld}" if self.withheld else ""
