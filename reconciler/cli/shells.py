"""The scripts that complete commands in bash, zsh and fish. Importing this module makes click use them.

They are those of click, apart from what these lack: values after an equals sign; in bash, values with colons,
quoting, and versions before 4.4, as on macOS; in fish, values and descriptions with commas.
"""

import os
from typing import ClassVar, Final

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

from providers.patterns import pattern

_BASH: Final = r"""%(complete_func)s() {
    local IFS=$'\n' response completion type value
    response=$(env COMP_LINE="${COMP_LINE:0:$COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
    COMPREPLY=()
    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        if [[ $type == 'dir' ]]; then
            compopt -o dirnames 2>/dev/null
        elif [[ $type == 'file' ]]; then
            compopt -o default 2>/dev/null
        elif [[ $type == 'plain' ]]; then
            COMPREPLY+=("$value")
        fi
    done
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -F %(complete_func)s %(prog_name)s
"""

_FISH: Final = r"""function %(complete_func)s
    set -l response (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp | string collect) \
        COMP_CWORD=(commandline -ct | string collect) %(prog_name)s 2>/dev/null)
    for completion in $response
        set -l metadata (string split --max 1 "," -- $completion)
        if test $metadata[1] = "dir"
            __fish_complete_directories $metadata[2]
        else if test $metadata[1] = "file"
            __fish_complete_path $metadata[2]
        else if test $metadata[1] = "plain"
            echo $metadata[2]
        end
    end
end

complete --no-files --keep-order --command %(prog_name)s --arguments "(%(complete_func)s)"
"""

_LINE, _BREAKS = "COMP_LINE", "COMP_WORDBREAKS"  # of the script, as in bash itself
_UNSAFE: Final = pattern(r"([^\w%+,./:=@^-])")
_ESCAPED: Final = r"\\\1"
_OPEN_QUOTE: Final = pattern(r"""(?:^|\s)(['"])[^'"]*$""")
_OPTION: Final = pattern(r"--[\w-]+=")


class _WholeWords(ShellComplete):
    """A shell completes whole words: with a value, `--env=E` becomes `--env=EU`."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        found = super().get_completions(args, incomplete)
        if option := _OPTION.match(incomplete):
            for item in found:
                item.value = option[0] + item.value
        return found


class Bash(_WholeWords, BashComplete):
    """bash replaces only the part of a word after its last colon, equals sign or @, and quotes nothing."""

    source_template: ClassVar[str] = _BASH

    @staticmethod
    def _check_version() -> None:
        """Any version will do."""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ[_LINE]
        words = split_arg_string(line)[1:]
        found = _OPEN_QUOTE.search(line)
        self._quote = found[1] if found else ""
        is_complete = line[-1:].isspace() and not line.endswith("\\ ") and not self._quote
        self._typed = words.pop() if words and not is_complete else ""
        return words, self._typed

    def format_completion(self, item: CompletionItem[str]) -> str:
        if self._quote:
            return f"{item.type},{item.value}"
        breaks = set(":=@").intersection(os.environ[_BREAKS])
        at = max((self._typed.rfind(letter) for letter in breaks), default=-1)
        start = at if self._typed[at : at + 1] == "@" else at + 1  # the word that bash replaces has the @
        return f"{item.type},{_UNSAFE.sub(_ESCAPED, item.value[start:])}"


class Zsh(_WholeWords, ZshComplete):
    """The script of click."""


class Fish(_WholeWords, FishComplete):
    """fish gets the whole of a value and its description."""

    source_template: ClassVar[str] = _FISH


for _shell in (Bash, Zsh, Fish):
    add_completion_class(_shell)


def script(shell: str) -> str:
    """The script for a shell of `SHELLS`."""
    from reconciler.cli import COMPLETE, group

    classes: dict[str, type[ShellComplete]] = {one.name: one for one in (Bash, Zsh, Fish)}
    return classes[shell](group, {}, "reconciler", COMPLETE).source()
