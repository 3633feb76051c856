"""The command line: one file for each group of verbs; text.py is the only printer."""

import gc
import os

gc.set_threshold(100_000, 20, 100)  # what a command makes lives as long as it does: to look for garbage in it took a tenth of its time
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # we have none; to look for some it reads about every package that is installed
