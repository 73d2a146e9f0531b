"""Git repositories → held-out split, deduplicated texts, token shards. Runs once; the shards are never committed.

    python prepare.py --repositories DIR --out data --languages ts,py

DIR holds bare git directories `owner+name/repo`. A repository whose LICENSE is not MIT, Apache-2.0 or BSD is refused.
Writes train.bin and held.bin (uint16 tokens), held.jsonl (path and text of every held-out file) and prepared.json.
After it: train.py.
"""
import argparse
import hashlib
import json
import random
import re
import subprocess
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from examples import SPECIAL, fill_in_the_middle, function_texts, plain
from functions import functions_of

HELD_PERMILLE = 10  # of the files, by the hash of `repository/path`
FILE_BYTES_MIN, FILE_BYTES_MAX = 150, 60_000
SUFFIXES = {"ts": (".ts", ".tsx", ".js", ".mjs"), "py": (".py",)}
CODE = (*SUFFIXES["ts"], *SUFFIXES["py"], ".rs", ".snap")  # named after licences, stating none
SKIPPED = re.compile(
    r"(^|/)(node_modules|dist|build|vendor|vendored|third[-_]party|fixtures?|__snapshots__|locales?|generated|__generated__)/"
    r"|\.d\.ts$|\.min\.|\.generated\.|(?i:humaneval|human_eval|nofuneval|mbpp)"
)
TEST = re.compile(r"(^|/)(tests?|__tests__|spec)/|\.(test|spec)\.\w+$|(^|/)test_\w+\.py$")
LICENCES = (("MIT", "Permission is hereby granted, free of charge"), ("Apache-2.0", "Apache License"),
            ("BSD", "Redistribution and use in source and binary forms"))
COPYLEFT = re.compile(r"GNU (LESSER |AFFERO )?GENERAL PUBLIC|Mozilla Public", re.I)
LICENCE_FILE = re.compile(r"(^|/)(licen[cs]e|copying)([.-][^/]*)?$", re.I)


def git(directory: Path, *command: str) -> bytes:
    return subprocess.run(["git", "-C", str(directory), *command], check=True, capture_output=True).stdout


def licence_in(directory: Path, names: list[str]) -> str | None:
    """Name of the licence that these files state; None where it is absent, unknown or copyleft."""
    text = " ".join(" ".join(git(directory, "show", f"HEAD:{n}").decode("utf-8", "replace") for n in names).split())
    # Apache-2.0 itself names no GPL; a file with both is refused and left to a person.
    return None if COPYLEFT.search(text) else next((name for name, mark in LICENCES if mark in text), None)


def refused_folders(directory: Path, names: list[str]) -> tuple[str, ...]:
    """Folders below the root with a licence of their own that is not one of ours."""
    own = [n for n in names if "/" in n and LICENCE_FILE.search(n) and not n.endswith(CODE)]
    return tuple(f"{n.rpartition('/')[0]}/" for n in own if licence_in(directory, [n]) is None)


def clean(text: str, path: str) -> str | None:
    """The text as trained on, or None when it is minified, data or not mostly ASCII."""
    text = re.sub(r"^(/\*[\s\S]{0,3000}?(?:licen[cs]e|copyright)[\s\S]*?\*/\s*)", "", text, count=1, flags=re.I)
    text = SPECIAL.sub("", text.replace("\r\n", "\n"))
    lines = text.split("\n")
    if max(map(len, lines)) > 400 or len(text) / len(lines) > 90:
        return None
    if sum(ord(c) > 127 for c in text) > 0.02 * len(text):
        return None
    if not path.endswith(".py"):
        text = text.replace("\t", "  ")
        indents = [len(line) - len(line.lstrip(" ")) for line in text.split("\n") if line.startswith("  ")]
        if indents and sum(i % 4 == 0 for i in indents) > 0.9 * len(indents):
            text = re.sub(r"^(?: {4})+", lambda m: " " * (len(m[0]) // 2), text, flags=re.M)
    return text


def files_of(root: Path, suffixes: tuple[str, ...], seen: set[bytes], table: list) -> list[tuple[str, str]]:
    """(repository/path, text) of every kept file of one repository; adds its row to the table."""
    repository = root.parent.name.replace("+", "/")
    names = git(root, "ls-tree", "-r", "--name-only", "HEAD").decode().split("\n")
    licence, kept = licence_in(root, [n for n in names if "/" not in n and LICENCE_FILE.search(n)]), []
    if licence is None:
        raise SystemExit(f"{root}: licence is not known to be permissive")
    refused = refused_folders(root, names)
    for name in names:
        if not name.endswith(suffixes) or SKIPPED.search(name) or name.startswith(refused):
            continue
        path = f"{repository}/{name}"
        if TEST.search(name) and hash_of(path) % 3:
            continue  # a third of test files
        raw = subprocess.run(["git", "-C", str(root), "show", f"HEAD:{name}"], capture_output=True).stdout
        if not FILE_BYTES_MIN <= len(raw) <= FILE_BYTES_MAX:
            continue
        text = clean(raw.decode("utf-8", "replace"), name)
        digest = text and hashlib.sha1(re.sub(r"\s", "", text).encode()).digest()
        if not text or digest in seen:
            continue
        seen.add(digest)
        kept.append((path, text))
    commit = git(root, "rev-parse", "HEAD").decode()[:12]
    table.append({"repository": repository, "commit": commit, "licence": licence, "files": len(kept),
                  "bytes": sum(len(text) for _, text in kept), "refused": refused})
    return kept


def hash_of(path: str) -> int:
    return int.from_bytes(hashlib.sha1(path.encode()).digest()[:4], "big")


def texts_of(path: str, text: str, edit_passes: int, draw: random.Random) -> list[str]:
    """`edit_passes`: draws of an edit for every function."""
    name = path.split("/", 2)[2]
    texts = [plain(text, name, draw)]
    texts += [fill_in_the_middle(text, draw) for _ in range(1 + len(text) // 6_000)]
    for one in functions_of(text, name):
        for _ in range(edit_passes):
            texts += function_texts(one, draw)
    return texts


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--repositories", type=Path, required=True)
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    arguments.add_argument("--tokenizer", type=Path, default=Path(__file__).parent.parent / "spark-nano/tokenizer.json")
    arguments.add_argument("--languages", default="ts,py")
    arguments.add_argument("--edit-passes", type=int, default=3)
    arguments.add_argument("--seed", type=int, default=17)
    options = arguments.parse_args()
    suffixes = tuple(s for language in options.languages.split(",") for s in SUFFIXES[language])
    seen, table, files = set(), [], []
    for root in sorted(options.repositories.glob("*/repo")):
        files += files_of(root, suffixes, seen, table)
        print(table[-1], flush=True)
    tokenizer, draw = Tokenizer.from_file(str(options.tokenizer)), random.Random(options.seed)
    held = [f for f in files if hash_of(f[0]) % 1000 < HELD_PERMILLE]
    train = [f for f in files if hash_of(f[0]) % 1000 >= HELD_PERMILLE]
    options.out.mkdir(parents=True, exist_ok=True)
    counts = {}
    for name, part in (("held", held), ("train", train)):
        texts = [t for path, text in part for t in texts_of(path, text, options.edit_passes, draw)]
        draw.shuffle(texts)
        encoded = (e.ids for at in range(0, len(texts), 512) for e in tokenizer.encode_batch(texts[at : at + 512]))
        tokens = np.concatenate([np.array(ids, dtype=np.uint16) for ids in encoded])
        tokens.tofile(options.out / f"{name}.bin")
        counts[name] = {"files": len(part), "texts": len(texts), "tokens": len(tokens), "chars": sum(map(len, texts))}
    with (options.out / "held.jsonl").open("w") as lines:
        lines.writelines(json.dumps({"path": path, "text": text}) + "\n" for path, text in held)
    prepared = {"seed": options.seed, "repositories": table, **counts}
    (options.out / "prepared.json").write_text(json.dumps(prepared, indent=1) + "\n")
    print(counts)


if __name__ == "__main__":
    main()
