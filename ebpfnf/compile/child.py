"""The compiling process: `python -m ebpfnf.compile.child`.

Gets ready, then reads the name of a folder to its end; none: nothing is wanted any more. Reads main.c there, writes
{functions: {name: base64}, btf, ext: base64} or {missing: text} as JSON, and removes the folder, for the parent may be
gone. What clang has to say goes to stderr. LLVM may exit or abort at any point: then nothing is written, and the parent
says why.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
from pathlib import Path

from ebpfnf.compile import bcc, memory


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def main() -> int:
    """Compile what stands in the folder; the exit code says whether there is a result."""
    bcc.get_ready()
    bcc.hide_kernel()
    answer = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no result
    folder = sys.stdin.read()
    if not folder:
        return 0
    os.chdir(folder)
    os.environ["BCC_KERNEL_SOURCE"] = folder  # where bcc looks for a kernel's `include`
    result: dict[str, object]
    try:
        functions = bcc.functions(Path("main.c").read_text(encoding="utf-8"))
    except bcc.Missing as error:
        result = {"missing": str(error)}
    except Exception as error:  # bcc raises plain Exception; clang has already written its errors
        print(error, file=sys.stderr)
        return 1
    else:
        btf, ext = memory.find_btf(tuple(functions))
        result = {"functions": {name: _text(insns) for name, insns in functions.items()}, "btf": _text(btf), "ext": _text(ext)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    with open(answer, "w", encoding="utf-8") as out:
        json.dump(result, out)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # LLVM's destructors take time and have crashed
