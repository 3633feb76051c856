"""The compiling process: `python -m ebpfnf.compile.child WORKDIR`.

Reads main.c there, writes result.json: {functions: {name: base64}, btf, ext: base64} or {missing: text}. What clang
has to say goes to stderr. LLVM may exit or abort at any point: then there is no result.json, and the parent says why.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path

from ebpfnf.compile import bcc, memory


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def main(folder: Path) -> int:
    """Compile what stands in `folder`; the exit code says whether result.json was written."""
    result: dict[str, object]
    try:
        functions = bcc.functions((folder / "main.c").read_text(encoding="utf-8"))
    except bcc.Missing as error:
        result = {"missing": str(error)}
    except Exception as error:  # bcc raises plain Exception; clang has already written its errors
        print(error, file=sys.stderr)
        return 1
    else:
        btf, ext = memory.find_btf(tuple(functions))
        result = {"functions": {name: _text(insns) for name, insns in functions.items()}, "btf": _text(btf), "ext": _text(ext)}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stderr.flush()
    os._exit(code)  # LLVM's destructors take time and have crashed
