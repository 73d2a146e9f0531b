"""Edits of a function: (kind, before, after, what the instruction has to name). Pure text, chance injected.

A kind only makes an edit whose answer is certain: one place that can be meant, one way to do it. Before it: blocks.py;
after it: phrases.py asks for the edit in words.
"""
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from functions import NEW_NAMES, RESERVED, TEXT, Function, remove_line, rename  # noqa: E402

MORE_NAMES = (
    "amount base body cache child cursor delta depth digest edge element factor flag group head height id info input "
    "kind label length limit line lookup map match max middle min mode model next node number order origin other owner "
    "pair parent part pattern piece pos prefix previous query queue range rate ratio reason reply request response root "
    "row rule scale schema scope score seed segment settings shape side signal slot span stack start state step stop "
    "store stream style suffix sum table tag tail task template term time tree unit user values view weight width word"
).split()
LITERALS = re.compile(r"(?<![\w.$'\"`])(\d+(?:\.\d+)?)(?![\w.$])|(?<![\w$])(true|false)(?![\w$])|'([^'\\\n]{1,24})'|\"([^\"\\\n]{1,24})\"")
OPERATORS = {"===": "!==", "!==": "===", "<=": "<", ">=": ">", "<": "<=", ">": ">=", "&&": "||", "||": "&&", "+": "-", "-": "+"}
OPERATOR = re.compile(r"(?<= )(===|!==|<=|>=|<|>|&&|\|\||\+|-)(?= )")
SIGNATURE = re.compile(r"^([^(]*)\(([^(){}]*)\)(.*)$")
STATEMENTS = (
    "console.log({});", "assert({});", "count += 1;", "if (!{}) return;", "if ({} === undefined) return null;",
    "if ({} == null) throw new Error('missing {}');", "logger.debug('{}', {});", "const started = Date.now();", "seen.add({});",
)


@dataclass(frozen=True)
class Edit:
    kind: str
    code: str  # before
    after: str
    language: str
    slots: dict = field(default_factory=dict)  # words for the instruction: old, new, line, after_line, name …


def rename_variable(one: Function, draw) -> Edit | None:
    edit = rename(one, _Names(draw))
    if edit is None:
        return None
    old, new = re.match(r"Rename `(.+)` to `(.+)`\.", edit.instruction).groups()
    return None if old == one.name else Edit("rename", edit.before, edit.after, one.language, {"old": old, "new": new})


def rename_function(one: Function, draw) -> Edit | None:
    word = re.compile(rf"(?<![\w$.]){re.escape(one.name)}(?![\w$])")
    if len(re.findall(rf"(?<![\w$]){re.escape(one.name)}(?![\w$])", one.code)) != len(word.findall(one.code)):
        return None  # also stands after a dot: what is meant there is not certain
    if word.search(" ".join(TEXT.findall(one.code))):
        return None
    verb = draw.choice("get make read find build load check parse fetch resolve update create collect apply compute".split())
    noun = draw.choice(MORE_NAMES)
    new = f"{verb}{noun[0].upper()}{noun[1:]}"
    if new in one.code:
        return None
    return Edit("rename", one.code, word.sub(new, one.code), one.language, {"old": one.name, "new": new})


def remove(one: Function, draw) -> Edit | None:
    edit = remove_line(one, draw)
    if edit is None:
        return None
    line = edit.instruction[len("Remove the line `"):-2]
    if line.endswith(("{", "(", "[")) or line.startswith(("}", ")", "]")) or "`" in line:
        return None  # half of a bracket would be left
    return Edit("remove", edit.before, edit.after, one.language, {"line": line})


def add_line(one: Function, draw) -> Edit | None:
    lines = one.code.split("\n")
    names = [name for name in re.findall(r"[A-Za-z_]\w+", TEXT.sub("", lines[0])) if name not in RESERVED and name != one.name]
    whole = [i for i in range(1, len(lines) - 1) if lines[i].rstrip().endswith(";") and lines.count(lines[i]) == 1 and "`" not in lines[i]]
    name = draw.choice(names) if names else "value"
    statement = draw.choice(STATEMENTS).replace("{}", name)
    if statement in one.code:
        return None
    if draw.random() < 0.4 or not whole:
        if not lines[0].endswith("{"):
            return None
        indent = re.match(r" *", lines[1])[0]
        return Edit("add", one.code, "\n".join([lines[0], indent + statement, *lines[1:]]), one.language, {"line": statement, "where": "start"})
    at = draw.choice(whole)
    indent = re.match(r" *", lines[at])[0]
    before = draw.random() < 0.4
    if lines[at].strip().startswith("return") and not before:
        before = True
    if before and at > 0 and not lines[at - 1].rstrip().endswith((";", "{", "}")):
        return None  # in the middle of a statement
    if not lines[at].strip().startswith(tuple("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_$")):
        return None
    into = at if before else at + 1
    where = "before" if before else "after"
    return Edit("add", one.code, "\n".join([*lines[:into], indent + statement, *lines[into:]]), one.language,
                {"line": statement, "where": where, "anchor": lines[at].strip()})


def literal(one: Function, draw) -> Edit | None:
    found = [m for m in LITERALS.finditer(one.code) if one.code.count(m[0]) == 1]
    if not found:
        return None
    m = draw.choice(found)
    if m[1]:
        new = draw.choice([n for n in ("0", "1", "2", "3", "5", "8", "10", "16", "24", "60", "100", "250", "1000", "4096", "0.5") if n != m[1]])
    elif m[2]:
        new = "false" if m[2] == "true" else "true"
    else:
        quote = m[0][0]
        new = quote + draw.choice(MORE_NAMES + ["not found", "is missing", "utf8", "on error", "x-id"]) + quote
    if m[0] == new:
        return None
    return Edit("literal", one.code, one.code[: m.start()] + new + one.code[m.end():], one.language, {"old": m[0], "new": new})


def operator(one: Function, draw) -> Edit | None:
    plain = TEXT.sub(lambda m: "\0" * len(m[0]), one.code)
    found = [m for m in OPERATOR.finditer(plain) if len(re.findall(rf"(?<= ){re.escape(m[0])}(?= )", plain)) == 1]
    if not found:
        return None
    m = draw.choice(found)
    new = OPERATORS[m[0]]
    line = one.code[: m.start()].count("\n")
    return Edit("operator", one.code, one.code[: m.start()] + new + one.code[m.end():], one.language,
                {"old": m[0], "new": new, "line": one.code.split("\n")[line].strip()})


def parameter(one: Function, draw) -> Edit | None:
    head, _, rest = one.code.partition("\n")
    m = SIGNATURE.match(head)
    if not m or "=>" in m[1] or "..." in m[2] or m[1].strip().startswith("get "):
        return None
    fresh = [n for n in (*NEW_NAMES, *MORE_NAMES) if not re.search(rf"\b{n}\b", one.code)]
    name = draw.choice(fresh)
    typed = one.language == "ts" and ": " in head
    kind = draw.choice(("string", "number", "boolean")) if typed else None
    default = draw.choice({"string": ("''", "'utf8'"), "number": ("0", "10"), "boolean": ("false", "true"), None: ("null", "0", "false", "{}")}[kind]) if draw.random() < 0.4 else None
    declared = name + (f": {kind}" if kind and not default else "") + (f" = {default}" if default else "")
    listed = m[2].rstrip().rstrip(",")
    # `where`: 'last' unless it stands first, and after a default only with one.
    first = bool(listed) and draw.random() < 0.4 and not default
    if default is None and not first and ("=" in listed or "?" in listed):
        return None
    joined = (f"{declared}, {listed}" if first else f"{listed}, {declared}") if listed else declared
    return Edit("parameter", one.code, f"{m[1]}({joined}){m[3]}\n{rest}", one.language,
                {"name": name, "declared": declared, "default": default, "type": kind, "where": "first" if first else "last", "function": one.name})


class _Names:
    """`rename` of ../functions.py draws its new name from a short list; here the list is longer."""

    def __init__(self, draw):
        self._draw = draw

    def choice(self, options):
        if options and options[0] in NEW_NAMES and all(n in NEW_NAMES for n in options):
            return self._draw.choice(list(options) + MORE_NAMES)
        return self._draw.choice(options)


KINDS = {
    "rename": (rename_variable, rename_variable, rename_variable, rename_function),
    "remove": (remove,),
    "add": (add_line,),
    "literal": (literal,),
    "operator": (operator,),
    "parameter": (parameter,),
}


def edit_of(kind: str, one: Function, draw) -> Edit | None:
    edit = draw.choice(KINDS[kind])(one, draw)
    if edit is None or edit.code == edit.after or "new" in edit.slots and kind == "rename" and _taken(edit):
        return None
    return edit


def _taken(edit: Edit) -> bool:
    return bool(re.search(rf"(?<![\w$]){re.escape(edit.slots['new'])}(?![\w$])", edit.code))
