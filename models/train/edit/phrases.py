"""How people ask for an edit, and the three forms of an answer. The held-out phrasings are never trained on.

Before it: kinds.py; after it: prepare.py (training) and held_out.py (judging).
"""
from kinds import Edit

TRAIN = {
    "rename": (
        "Rename `{old}` to `{new}`.", "rename {old} to {new}", "Rename the {what} `{old}` to `{new}` everywhere.", "Please rename {old} to {new} in this function.",
        "Change the name of `{old}` to `{new}`.", "{old} should be called {new}", "Use the name `{new}` instead of `{old}`.", "Rename {old} -> {new}",
        "I want `{old}` to be named `{new}`.", "Can you rename {old} to {new}?", "Replace the identifier {old} with {new}.", "s/{old}/{new}/ as an identifier, please",
        "`{old}` → `{new}`", "Let us call `{old}` `{new}` from now on.", "The {what} `{old}` needs a better name: `{new}`.", "{new} is a clearer name than {old}, use it",
        "Everywhere `{old}` appears it must read `{new}`.", "`{new}` instead of `{old}`, in all places.", "Rename this: {old}. New name: {new}.", "Swap the name {old} for {new}.",
    ),
    "remove": (
        "Remove the line `{line}`.", "delete the line {line}", "Delete `{line}`.", "Drop this line: {line}", "Please remove `{line}` from the function.",
        "Take out the line `{line}`.", "The line `{line}` is not needed, remove it.", "remove {line}", "Get rid of `{line}`.", "Can you delete the line `{line}`?",
        "Without the line `{line}`, please.", "`{line}` can go.", "Strike `{line}`.", "Leave out the line `{line}`.", "This line is dead code: `{line}`. Remove it.",
        "Erase the line {line} and keep the rest.", "There should be no `{line}` in this function.", "I do not need `{line}` any more; drop it.", "Omit `{line}`.",
    ),
    "add.start": (
        "Add `{line}` at the start of the function.", "add {line} as the first line", "Insert `{line}` at the top of the body.", "Put `{line}` first in the function body.",
        "Begin the function with `{line}`.", "Please add the line `{line}` at the beginning.",
        "Let the body start with `{line}`.", "Before anything else, do `{line}`.", "The function should begin by `{line}`.", "Open the body with the line `{line}`.",
        "{line} belongs at the top of the function", "Prepend `{line}` to the body.", "As its first step the function must run `{line}`.",
    ),
    "add.after": (
        "Add `{line}` after `{anchor}`.", "insert {line} after the line {anchor}", "After `{anchor}`, add the line `{line}`.", "Put `{line}` below `{anchor}`.",
        "Add the line `{line}` right after `{anchor}`.",
        "`{anchor}` must be followed by `{line}`.", "Follow `{anchor}` with `{line}`.", "Behind `{anchor}` comes a new line, `{line}`.", "Append `{line}` to `{anchor}` as the next line.",
        "Once `{anchor}` is done, do `{line}`.", "Insert the statement `{line}`; it comes after `{anchor}`.", "{line} goes under {anchor}",
    ),
    "add.before": (
        "Add `{line}` before `{anchor}`.", "insert {line} before the line {anchor}", "Before `{anchor}`, add the line `{line}`.", "Put `{line}` above `{anchor}`.",
        "Add the line `{line}` right before `{anchor}`.",
        "`{anchor}` must be preceded by `{line}`.", "Let `{line}` come in front of `{anchor}`.", "In front of `{anchor}` comes a new line, `{line}`.",
        "First `{line}`, only then `{anchor}`.", "Insert the statement `{line}`; it comes before `{anchor}`.", "{line} goes over {anchor}",
    ),
    "literal": (
        "Change {old} to {new}.", "Replace {old} with {new}.", "change `{old}` to `{new}`", "Use {new} instead of {old}.", "{old} should be {new}.", "Set it to {new} instead of {old}.",
        "Please change the value {old} to {new}.", "Make {old} {new}.",
        "{old} is wrong, it has to be {new}.", "Turn {old} into {new}.", "Write {new} in place of {old}.", "{old} -> {new}", "Not {old} but {new}, please.", "Swap {old} for {new}.",
        "The value is {new} now, no longer {old}.", "Let {old} be {new}.",
    ),
    "operator": (
        "Change `{old}` to `{new}` in `{line}`.", "Replace `{old}` with `{new}`.", "use {new} instead of {old}", "The `{old}` should be `{new}`.", "Change the operator {old} to {new}.",
        "In `{line}`, use `{new}` instead of `{old}`.",
        "Turn `{old}` into `{new}` in the line `{line}`.", "`{old}` is wrong, it has to be `{new}`.", "In `{line}` the operator is `{new}`, not `{old}`.", "`{old}` -> `{new}`",
        "Write `{new}` in place of `{old}`.", "`{line}` has to compare or combine with `{new}` rather than `{old}`.", "Swap the operator `{old}` for `{new}`.",
        "Not `{old}` but `{new}`, please.", "There is a bug in `{line}`: use `{new}`, not `{old}`.", "{line}: {old} must be {new}",
    ),
    "parameter.first": (
        "Add a parameter `{declared}` before the others.", "add {declared} as the first parameter", "Make `{declared}` the first parameter of `{function}`.", "Put a new parameter `{declared}` first.",
        "`{declared}` comes first in the signature of `{function}`.", "Insert the parameter `{declared}` in front of the existing ones.", "{function} gets {declared} as its first argument",
        "The first argument of `{function}` shall be `{declared}`.", "Prepend `{declared}` to the parameters.",
    ),
    "parameter.last": (
        "Add a parameter `{declared}`.", "add a parameter {declared} to {function}", "Give `{function}` another parameter `{declared}`.", "Add `{declared}` as the last parameter.",
        "{function} should also take {declared}", "Please add the parameter `{declared}` at the end.", "Extend the signature by `{declared}`.",
        "`{function}` needs a further argument `{declared}`.", "Append `{declared}` to the parameters.", "{function} gets {declared} as its last argument",
        "Accept `{declared}` too.", "The last argument of `{function}` shall be `{declared}`.", "Let the signature end with `{declared}`.",
    ),
}

HELD_OUT = {
    "rename": ("Could you give `{old}` the name `{new}` throughout?", "`{old}` is a bad name. Call it `{new}`."),
    "remove": ("We no longer want `{line}`. Take that line out.", "Cut the line `{line}` out of this code."),
    "add.start": ("The very first statement should be `{line}`.",),
    "add.after": ("Directly following `{anchor}` there should be `{line}`.",),
    "add.before": ("Right ahead of `{anchor}` we need `{line}`.",),
    "literal": ("Where it says {old}, write {new}.", "The constant {old} ought to become {new}."),
    "operator": ("Where it says `{old}`, write `{new}`.", "The comparison or sum `{line}` ought to use `{new}`, not `{old}`."),
    "parameter.first": ("Let `{function}` take `{declared}` ahead of everything else.",),
    "parameter.last": ("Let `{function}` accept one more argument, `{declared}`.",),
}

FORMS = {  # how the answer is asked for; the first is the default of the chat route
    "whole": ("", "", "", " Answer with the whole function.", " Return the edited function."),
    "blocks": (" Answer with a search/replace block.", " Reply with SEARCH/REPLACE blocks only."),
    "diff": (" Answer with a unified diff hunk.", " Show the change as a diff."),
}


def instruction_of(edit: Edit, phrases: dict, draw) -> str:
    where = edit.slots.get("where")
    key = f"{edit.kind}.{where}" if where else edit.kind
    what = "variable" if edit.kind == "rename" else ""
    return draw.choice(phrases[key]).format(**{"what": what, **{k: v for k, v in edit.slots.items() if v is not None}})


def question_of(edit: Edit, instruction: str, form: str, tag: str, draw) -> str:
    """The instruction before or after the code, which is fenced with `tag`."""
    fence = f"```{tag}\n{edit.code}\n```"
    asked = instruction + draw.choice(FORMS[form])
    return f"{asked}\n\n{fence}" if draw.random() < 0.75 else f"{fence}\n\n{asked}"


def answer_of(edit: Edit, form: str, tag: str) -> str:
    """A whole function is fenced as the question's was."""
    if form == "whole":
        return f"```{tag}\n{edit.after}\n```"
    before, after = edit.code.split("\n"), edit.after.split("\n")
    head, tail = _span(before, after)
    context = 1 if form == "blocks" else 3
    above, below = before[max(0, head - context):head], before[len(before) - tail:len(before) - tail + context]
    old, new = before[head:len(before) - tail], after[head:len(after) - tail]
    if form == "blocks":
        lines = ["<<<<<<< SEARCH", *above, *old, *below, "=======", *above, *new, *below, ">>>>>>> REPLACE"]
        return "\n".join(lines)
    start = max(0, head - context) + 1
    counts = f"@@ -{start},{len(above) + len(old) + len(below)} +{start},{len(above) + len(new) + len(below)} @@"
    lines = [counts, *(" " + x for x in above), *("-" + x for x in old), *("+" + x for x in new), *(" " + x for x in below)]
    return "```diff\n" + "\n".join(lines) + "\n```"


def _span(before: list[str], after: list[str]) -> tuple[int, int]:
    short = min(len(before), len(after))
    head = next((i for i in range(short) if before[i] != after[i]), short)
    tail = next((i for i in range(short - head) if before[-1 - i] != after[-1 - i]), short - head)
    return head, tail
