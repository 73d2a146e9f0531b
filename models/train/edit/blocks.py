"""Functions of JavaScript and TypeScript files, as text: declarations, arrow functions in a const, methods.

A function is judged by indentation alone, as in ../functions.py, whose edits by name and line are used here too.
Before it: prepare.py reads packages; after it: kinds.py makes edits of what is found here.
"""
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from functions import Function  # noqa: E402

LINES_MIN, LINES_MAX = 3, 24
LINE_CHARS_MAX = 110
CHARS_MAX = 900  # about 300 tokens: question and answer hold it once each

HEADS = (
    re.compile(r"^( *)(?:export )?(?:default )?(?:async )?function\*? ?(\w+)\s*[(<].*$"),
    re.compile(r"^( *)(?:export )?const (\w+)\b[^=]*= (?:async )?(?:\([^)]*\)|\w+)(?:: [^=]+)? => \{$"),
    re.compile(r"^( +)(?:static |async |public |private |protected |get |set )*(#?\w+)\s*\([^;]*\)(?:: [^{;]+)? \{$"),
)
NOT_NAMES = frozenset("if for while switch catch function return with constructor".split())
LANGUAGES = {".ts": "ts", ".mts": "ts", ".js": "js", ".mjs": "js", ".cjs": "js"}


def blocks_of(text: str, path: str) -> list[Function]:
    """Whole functions of a file, dedented. Nothing of a file that is not indented by two or four spaces."""
    language = LANGUAGES[Path(path).suffix]
    lines, found, at = text.split("\n"), [], 0
    while at < len(lines):
        match = next((m for head in HEADS if (m := head.match(lines[at])) and m[2] not in NOT_NAMES), None)
        end = match and _end_of(lines, at, len(match[1]))
        if not match or not end:
            at += 1
            continue
        part = [line[len(match[1]):].rstrip() for line in lines[at:end]]
        code = "\n".join(part)
        if LINES_MIN <= len(part) <= LINES_MAX and len(code) <= CHARS_MAX and "\t" not in code:
            if max(map(len, part)) <= LINE_CHARS_MAX and code.isascii():
                found.append(Function(match[2], code, language, path))
        at = end
    return found


def _end_of(lines: list[str], start: int, indent: int) -> int | None:
    closers = (" " * indent + "}", " " * indent + "};")
    for at in range(start + 1, min(len(lines), start + LINES_MAX + 1)):
        if lines[at].rstrip() in closers:
            return at + 1
        if lines[at].strip() and len(lines[at]) - len(lines[at].lstrip()) <= indent and lines[at].strip()[0] not in ")}":
            return None
    return None
