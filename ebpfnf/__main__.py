"""`python -m ebpfnf`: the command line."""

from ebpfnf.cli.main import main

main()
