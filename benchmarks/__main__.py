"""`python -m benchmarks [NAME...] [-o json]`, `python -m benchmarks plots`."""

import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a Ctrl-C while modules are imported ends us without a traceback
    from benchmarks.command import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # labs go with us
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
