"""Runs one case of a real client after the other, as python-clients.ts asks for them.

Its arguments are the modules, read before the first. Standard input has a line of JSON a case, {"case": "module.function", ...keywords}; standard output one line for each,
{"value": what it returned} or {"fault": traceback}. What a case saw is judged by the test that asked.
"""

import importlib
import json
import sys
import traceback


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # some packages print
    for module in sys.argv[1:]:
        importlib.import_module(module)
    print(json.dumps({"value": "ready"}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        module, function = asked.pop("case").split(".")
        try:
            answer = {"value": getattr(importlib.import_module(module), function)(**asked)}
        except Exception:
            answer = {"fault": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


main()
