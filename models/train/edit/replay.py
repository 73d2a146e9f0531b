"""Plain text for train.py to stay close to the base model on: {text} of source files and documents, one JSON line each.

    python replay.py --packages packages --python DIR... --out data [--count 4000] [--seed 17]

--packages: the unpacked npm packages of prepare.py (sources and Markdown); --python: folders of Python packages whose
licence allows it (the README lists what was used). Nothing of this repository, whose frozen texts judge the forgetting.
"""
import argparse
import json
import random
from pathlib import Path

SUFFIXES = {".js": "code", ".ts": "code", ".mjs": "code", ".tsx": "code", ".md": "prose", ".py": "python", ".rst": "prose"}
SHARES = {"code": 4, "prose": 3, "python": 3}
FILE_CHARS_MAX, TEXT_CHARS = 200_000, 1_600
PER_FOLDER_MAX = 400  # files


def files(folder: Path, draw: random.Random) -> list[Path]:
    found = [f for f in sorted(folder.rglob("*")) if f.suffix in SUFFIXES and f.is_file() and not f.name.endswith((".min.js", ".d.ts"))]
    found = [f for f in found if 2 * TEXT_CHARS < f.stat().st_size < FILE_CHARS_MAX]
    draw.shuffle(found)
    return found[:PER_FOLDER_MAX]


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("--packages", type=Path, required=True)
    p.add_argument("--python", type=Path, nargs="*", default=[])
    p.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    p.add_argument("--count", type=int, default=4_000)
    p.add_argument("--seed", type=int, default=17)
    options = p.parse_args()
    draw = random.Random(options.seed)
    by_sort: dict[str, list[Path]] = {sort: [] for sort in SHARES}
    for folder in [*sorted(options.packages.iterdir()), *options.python]:
        for file in files(folder, draw):
            by_sort[SUFFIXES[file.suffix]].append(file)
    with (options.out / "replay.jsonl").open("w") as out:
        count = 0
        while count < options.count:
            sort = draw.choices(list(SHARES), SHARES.values())[0]
            text = draw.choice(by_sort[sort]).read_text(errors="replace")
            lines = text[draw.randrange(max(1, len(text) - TEXT_CHARS)):]
            start = lines.find("\n") + 1  # a text begins with a line
            if len(lines) - start < TEXT_CHARS // 2:
                continue
            out.write(json.dumps({"sort": sort, "text": lines[start:start + TEXT_CHARS]}) + "\n")
            count += 1
    print({sort: len(some) for sort, some in by_sort.items()})


if __name__ == "__main__":
    main()
