"""Following what an image starts: as the kernel does (execve(2)), and as shells and known wrappers do behind it."""

from __future__ import annotations

import contextlib
import posixpath
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from multiarch.image.file import File, FileKind
from multiarch.image.files import UnreadError
from multiarch.image.program import Program, shown
from multiarch.image.shell import Shell
from multiarch.image.step import Caller, Step
from multiarch.image.wrappers import MULTICALL, SHELLS, SUPERVISORS, command_of_env, shell_arguments, wrapper_of

if TYPE_CHECKING:
    from multiarch.image.files import Files
    from multiarch.image.wrappers import Environment, Words

# Interpreters of interpreters that Linux follows (exec_binprm in fs/exec.c).
_MOST_INTERPRETERS = 5
# Commands that are followed for an image, and how deeply they start each other.
_MOST_STARTS, _DEEPEST = 256, 16
_LONGEST_NOTE = 400  # characters of a note with words of a script
# Directories of PATH, and characters of a script in the words of a command.
_MOST_DIRECTORIES, _LONGEST_SCRIPT = 64, 1 << 16

# A path as it was given, the path behind its links, and the file.
_Found: TypeAlias = "tuple[str, str, File]"


class Starter:
    """Follows what an image starts.

    :ivar programs: what was found so far.
    """

    def __init__(self, files: Files) -> None:
        self.programs: dict[Program, None] = {}
        self._files = files
        self._starts: set[tuple[object, ...]] = set()
        self._step: Step | None = None

    def follow(self, words: Words, step: Step) -> None:
        """Follow a command."""
        start = (
            words,
            step.environment.directory,
            step.environment.variables.get("PATH"),
            step.caller,
            step.is_certain,
        )
        if not words or not words[0] or start in self._starts:
            return
        self._starts.add(start)
        if len(self._starts) > _MOST_STARTS or step.depth > _DEEPEST:
            self._add(Program(words[0], note="it starts more programs than are followed"))
            return
        try:
            found = self._search(words[0], step)
            if found:
                self._run(words, found, step, 0)
        except UnreadError as error:
            path = shown(words[0])
            note = f"{path}{_by(step, path)}: {error}" if step.by else str(error)
            self._add(Program(path, note=note, is_certain=step.is_certain, is_unread=True))
            # What a wrapper starts is known from its name alone; that a layer is unread was noted.
            with contextlib.suppress(UnreadError):
                self._go_on(words, path, step)

    def _add(self, program: Program) -> None:
        if not program.is_certain and replace(program, is_certain=True) in self.programs:
            return
        self.programs[program] = None

    def _note(self, path: str, note: str, step: Step) -> None:
        # What is not there is no matter where it is started under a condition alone.
        if step.is_certain:
            self._add(Program(shown(path), note=note))

    def _fault(self, path: str, fault: str, step: Step) -> None:
        self._add(Program(shown(path), fault=fault, is_certain=step.is_certain))

    # Where it is.

    def _search(self, word: str, step: Step) -> _Found | None:
        """Return the file of a command; None where there is none, which is noted.

        :raises UnreadError: it is not known.
        """
        directory, path = step.environment.directory, shown(word)
        places, elements = [word], [""]
        if "/" not in word:
            value = step.environment.variables.get("PATH")
            if value is None:
                self._note(word, f"{path}{_by(step, path)}: PATH is known only when it runs", step)
                return None
            # An empty element is the working directory (POSIX, XBD 8.3).
            elements = value.split(":", _MOST_DIRECTORIES)
            places = [posixpath.join(element or ".", word) for element in elements[:_MOST_DIRECTORIES]]
        unusable = ""
        for place in places:
            if directory is None and not place.startswith("/"):
                self._note(word, f"{path}{_by(step, path)}: its directory is known only when it runs", step)
                return None
            real, file = self._files.find(posixpath.join("/", directory or "", place))
            if file is None or file.kind in (FileKind.OTHER, FileKind.LINK):
                continue
            if file.is_executable or file.note:
                if step.caller is Caller.KERNEL and "/" not in word and not place.startswith("/"):
                    self._note(word, f"{path} is found by a relative element of PATH, which runc does not follow", step)
                return (place if "/" in word else posixpath.join("/", directory or "", place)), real, file
            unusable = unusable or real
        if "/" not in word and len(elements) > _MOST_DIRECTORIES:
            self._note(word, f"{path}{_by(step, path)}: its PATH has more than {_MOST_DIRECTORIES} directories", step)
        elif unusable:
            self._fault(unusable, f"{shown(unusable)} is not executable (chmod +x)", step)
        else:
            self._note(word, f"{path}{_by(step, path)} is not in its layers", step)
        return None

    # What it is.

    def _run(self, words: Words, found: _Found, step: Step, level: int) -> None:
        """Follow a file that is executed.

        :param level: how many scripts it is the interpreter of.
        """
        given, real, file = found
        path = shown(real)
        if file.note:
            self._note(path, f"{path} {file.note}", step)
        elif file.elf:
            self._add(Program(path, file.elf, marks=file.marks, is_certain=step.is_certain))
            self._check_loader(real, file, step)
            self._go_on(words, path, step)
        elif file.kind is FileKind.SCRIPT and file.line.rstrip(b"\r")[2:].strip():
            self._interpret(words, found, step, level)
        elif file.kind is FileKind.DATA and step.caller is Caller.SHELL:
            self._note(path, f"{path} is no text, and not all shells run it", step)
        elif file.kind is FileKind.DATA:
            self._fault(path, f"{path} is neither an ELF program nor a script", step)
        elif step.caller is Caller.KERNEL:
            what = "is empty" if file.kind is FileKind.EMPTY else "is a script without a shebang, such as #!/bin/sh"
            self._fault(path, f"{path} {what}", step)
        else:
            if step.caller is Caller.WRAPPER:
                self._note(path, f"{path} has no shebang, and not all of what starts it runs it then", step)
            self._run_text(real, file, given, words[1:], step)

    def _check_loader(self, path: str, file: File, step: Step) -> None:
        """Check that the dynamic loader of a program is there, and of its architecture."""
        if file.marks.problem:
            self._note(path, f"{shown(path)}: {file.marks.problem}", step)
        if not file.marks.loader:
            return
        named = shown(file.marks.loader)
        _, loader = self._files.find(posixpath.join("/", step.environment.directory or "", file.marks.loader))
        if loader is None or loader.elf is None:
            fault = f"{shown(path)} needs the dynamic loader {named}, which is not in the image"
            self._fault(path, f"{fault}: link it statically, or use the base image that it was built for", step)
            return
        if loader.elf != file.elf:
            fault = f"{shown(path)} needs the dynamic loader {named}, which is of another architecture than itself"
            self._fault(path, fault, step)
        kinds = [marks.float_abi.value for marks in (file.marks, loader.marks) if marks.float_abi]
        if len(set(kinds)) > 1:
            self._fault(path, f"{shown(path)} is {kinds[0]}, and its dynamic loader {named} {kinds[1]}", step)

    def _interpret(self, words: Words, found: _Found, step: Step, level: int) -> None:
        """Follow the interpreter of a script, as binfmt_script of Linux does."""
        given, real, file = found
        path = shown(real)
        if file.line.endswith(b"\r"):
            self._fault(path, f"the first line of {path} ends in CR, as on Windows: save it with LF alone", step)
            return
        line = file.line[2:].decode(errors="surrogateescape").strip(" \t")
        interpreter, _, rest = line.replace("\t", " ").partition(" ")
        if level >= _MOST_INTERPRETERS:
            self._fault(path, f"{path} has more interpreters of interpreters than Linux follows", step)
            return
        arguments = (rest.strip(),) if rest.strip() else ()
        place = posixpath.join("/", step.environment.directory or "", interpreter)
        behind, target = self._files.find(place)
        if target is None or target.kind in (FileKind.OTHER, FileKind.LINK):
            self._note(path, f"{shown(interpreter)}, which runs {path}, is not in its layers", step)
        elif not target.is_executable and not target.note:
            self._fault(path, f"{shown(interpreter)}, which runs {path}, is not executable (chmod +x)", step)
        elif level == 0 and (wrapper := wrapper_of(_base(words[0]))):
            # What a wrapper that is a script starts is known from its name, not from its text.
            self._run((interpreter,), (interpreter, behind, target), replace(step, caller=Caller.KERNEL), level + 1)
            self._behind(wrapper.command(words), path, step)
        else:
            command = (interpreter, *arguments, given, *words[1:])
            self._run(command, (interpreter, behind, target), replace(step, caller=Caller.KERNEL), level + 1)

    # What it starts.

    def _go_on(self, words: Words, path: str, step: Step) -> None:
        """Follow what a program starts by its arguments."""
        name = _base(words[0])
        while name in MULTICALL and len(words) > 1 and words[1]:
            words = words[1:]
            name = _base(words[0])
        if name in SHELLS:
            self._shell(words, path, step)
        elif name == "env":
            command, environment = command_of_env(words, step.environment)
            self._behind(command, path, replace(step, environment=environment))
        elif name == "su":
            script = next((words[n + 1] for n, word in enumerate(words[:-1]) if word in ("-c", "--command")), None)
            if script:
                self._behind(("/bin/sh", "-c", script), path, step)
        elif wrapper := wrapper_of(name):
            self._behind(wrapper.command(words), path, step)
        elif name in SUPERVISORS:
            self._note(path, f"{path} starts what its configuration says, which is not followed", step)

    def _behind(self, command: Words, path: str, step: Step) -> None:
        """Follow the command behind a wrapper."""
        if command and command[0] is None:
            self._note(path, f"{path} starts what is known only when it runs", step)
        self.follow(command, replace(step, caller=Caller.WRAPPER, by=path, depth=step.depth + 1))

    def _shell(self, words: Words, path: str, step: Step) -> None:
        """Follow a shell with its arguments (POSIX, sh)."""
        flags, rest = shell_arguments(words)
        if "l" in flags:
            # A login shell reads files that may set PATH.
            step = replace(step, environment=replace(step.environment, is_doubtful=True))
        if not rest:
            if step.caller is Caller.SHELL:
                self._note(path, f"{path}{_by(step, path)} runs its standard input, which is not followed", step)
            return
        operand, behind = rest[0], rest[1:]
        if operand is None:
            self._note(path, f"{path} runs a script that is known only when it runs", step)
        elif "c" in flags:
            zero = behind[0] if behind else path
            name = f"{shown(words[0] or '')} -c"
            self._run_script(operand if len(operand) <= _LONGEST_SCRIPT else None, name, zero, behind[1:], step)
        else:
            directory = step.environment.directory
            real, file = self._files.find(posixpath.join("/", directory or "", operand))
            if file is None or file.kind in (FileKind.OTHER, FileKind.LINK):
                self._note(operand, f"{shown(operand)}, which {path} runs, is not in its layers", step)
            elif file.elf:
                self._fault(real, f"{shown(real)} is no script, and {path} is to run it as one", step)
            else:
                self._run_text(real, file, operand, behind, step)

    def _run_text(self, real: str, file: File, zero: str, parameters: Words, step: Step) -> None:
        """Follow a file that a shell reads."""
        if file.kind is not FileKind.EMPTY:
            self._run_script(file.text, shown(real), zero, parameters, step)

    def _run_script(self, text: str | None, name: str, zero: str | None, parameters: Words, step: Step) -> None:
        """Follow a script."""
        if text is None:
            note = f"{name} is not followed: it is too long, or no text"
            self._add(Program(name, note=note, is_certain=step.is_certain, is_unread=True))
            return
        outside, self._step = self._step, replace(step, by=name)
        Shell(self, name, step.environment, zero, parameters, is_certain=step.is_certain).run(text)
        self._step = outside

    # What a shell asks for, of the script that is followed now.

    def start(self, words: Words, environment: Environment, *, is_certain: bool) -> None:
        """Follow a command that is no part of the shell."""
        if self._step is None or words[0] is None:
            return
        is_by_path = "/" not in words[0] or not words[0].startswith("/")
        is_certain = is_certain and not (environment.is_doubtful and is_by_path)
        step = replace(self._step, environment=environment, caller=Caller.SHELL, is_certain=is_certain)
        self.follow(words, replace(step, depth=step.depth + 1))

    def text_at(self, path: str) -> str | None:
        """Return the text of a script; None where it is not known."""
        try:
            _, file = self._files.find(path)
        except UnreadError:
            return None
        return file.text if file else None

    def note(self, problem: str) -> None:
        """Note what is not followed."""
        if self._step:
            self._add(Program(self._step.by, note=shown(problem, _LONGEST_NOTE)))


def _base(word: str | None) -> str:
    """Return the name by which a program knows what to do; a login shell's begins with a dash."""
    return posixpath.basename(word or "").removeprefix("-")


def _by(step: Step, path: str) -> str:
    return f", which {step.by} starts," if step.by and step.by != path else ""
