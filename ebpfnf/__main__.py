"""`ebpfnf`, `python -m ebpfnf`: the command line."""

import signal
import sys


def main() -> None:
    """Run it. A Ctrl-C while modules are imported ends us without a traceback; from then on it is an exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ebpfnf.cli import early

    early.begin(sys.argv[1:])
    from ebpfnf.cli.main import main as run

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
