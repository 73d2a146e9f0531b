"""Functions found in source files, and the edits made from them. Pure text: no model, no tokenizer.

Every edit is (instruction, before, after). Before it: prepare.py; after it: examples.py.
"""
import re
from dataclasses import dataclass

LINES_MIN, LINES_MAX = 3, 40  # a function outside teaches an edit badly or fills the window
LINE_CHARS_MAX = 120

TS_HEAD = re.compile(r"^( *)(?:export )?(?:default )?(?:async )?function\*? ?(\w+)")
PY_HEAD = re.compile(r"^( *)(?:async )?def (\w+)")
IDENTIFIER = re.compile(r"(?<![\w$.'\"/-])[A-Za-z_$][\w$]*(?![\w$'\"/-])")
TEXT = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|`[^`]*`|//.*|#.*|/\*[\s\S]*?\*/")  # strings and comments
RESERVED = frozenset(
    "abstract and any as assert async await boolean break case catch class const continue def default del delete do "
    "elif else enum except export extends false False finally for from function get global if implements import in "
    "instanceof interface is lambda let new None nonlocal not null number object of or pass private public raise "
    "readonly return self set static string super switch symbol this throw true True try type typeof undefined "
    "unknown var void while with yield".split()
)
NEW_NAMES = (
    "value item result entry count index total next current source target node list key name data input output left "
    "right first last size offset buffer options config handler callback record field token line text path message"
).split()


@dataclass(frozen=True)
class Function:
    name: str
    code: str  # dedented, without a trailing line break
    language: str  # 'ts' | 'python'
    path: str


def functions_of(text: str, path: str) -> list[Function]:
    """Whole functions of a file, judged by indentation alone."""
    language = "python" if path.endswith(".py") else "ts"
    head = PY_HEAD if language == "python" else TS_HEAD
    lines, found, at = text.split("\n"), [], 0
    while at < len(lines):
        match = head.match(lines[at])
        end = match and _end_of(lines, at, len(match[1]), language)
        if not match or not end:
            at += 1
            continue
        part = lines[at:end]
        if LINES_MIN <= len(part) <= LINES_MAX and max(map(len, part)) <= LINE_CHARS_MAX:
            indent = len(match[1])
            found.append(Function(match[2], "\n".join(line[indent:] for line in part), language, path))
        at = end
    return found


def _end_of(lines: list[str], start: int, indent: int, language: str) -> int | None:
    """Index after the function's last line, or None when it does not end within LINES_MAX lines."""
    for at in range(start + 1, min(len(lines), start + LINES_MAX + 1)):
        line = lines[at]
        if language == "ts":
            if line == " " * indent + "}":
                return at + 1
        elif line.strip() and len(line) - len(line.lstrip()) <= indent and not line.lstrip().startswith(")"):
            while not lines[at - 1].strip():
                at -= 1
            return at
    return None


@dataclass(frozen=True)
class Edit:
    instruction: str
    before: str
    after: str


def rename(one: Function, random) -> Edit | None:
    """One local identifier, every occurrence. Names that also stand in text, after a dot or as a key are left alone:
    for those the answer would not be certain."""
    names = [n for n in IDENTIFIER.findall(TEXT.sub("", one.code)) if n not in RESERVED and len(n) > 1]
    inner = one.code.partition("\n")[2]  # a colon in the head is a type, below it may be a key

    def certain(name: str) -> bool:
        word = re.compile(rf"(?<![\w$]){re.escape(name)}(?![\w$])")
        return (
            names.count(name) >= 2
            and len(word.findall(one.code)) == names.count(name)
            and not re.search(rf"{re.escape(name)}\??:|[{{,] *{re.escape(name)} *[,}}]", inner)
        )

    usable = [n for n in dict.fromkeys(names) if certain(n)]
    fresh = [n for n in NEW_NAMES if not re.search(rf"\b{n}\b", one.code)]
    if not usable or not fresh:
        return None
    old, new = random.choice(usable), random.choice(fresh)
    after = re.sub(rf"(?<![\w$]){re.escape(old)}(?![\w$])", new, one.code)
    return Edit(f"Rename `{old}` to `{new}`.", one.code, after)


def remove_line(one: Function, random) -> Edit | None:
    lines = one.code.split("\n")
    inner = [i for i in range(1, len(lines) - 1) if len(lines[i].strip()) > 4 and lines.count(lines[i]) == 1]
    if not inner:
        return None
    at = random.choice(inner)
    return Edit(f"Remove the line `{lines[at].strip()}`.", one.code, "\n".join(lines[:at] + lines[at + 1 :]))


# What a slip looks like, and what it was: the fix is the way back.
SLIPS = (("===", "!=="), ("<=", "<"), (">=", ">"), (" && ", " || "), (" + ", " - "), ("return ", ""), (" and ", " or "))


def fix(one: Function, random) -> Edit | None:
    """The function with one slip; the answer is the function as it stood."""
    usable = [(right, wrong) for right, wrong in SLIPS if one.code.count(right) == 1]
    if not usable:
        return None
    right, wrong = random.choice(usable)
    return Edit(f"Fix the bug in `{one.name}`.", one.code.replace(right, wrong), one.code)


def two_edits(one: Function, random) -> Edit | None:
    """A rename and a removed line, asked for together."""
    first = rename(one, random)
    if not first:
        return None
    second = remove_line(Function(one.name, first.after, one.language, one.path), random)
    if not second or len(second.after.split("\n")) < LINES_MIN:
        return None
    return Edit(f"{first.instruction} Then remove the line `{second.instruction[17:-2]}`.", one.code, second.after)


EDITS = (rename, rename, remove_line, remove_line, fix, two_edits)


def edit_of(one: Function, random) -> Edit | None:
    """One edit of a kind drawn at random, or None when the function does not carry it."""
    edit = random.choice(EDITS)(one, random)
    return edit if edit and edit.before != edit.after else None
