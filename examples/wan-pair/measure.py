"""What a pair of WAN optimizers saves on the line between two lab hosts: `python3 measure.py LAB`, as root.

`client` reads pages of text from `sink` and compares them; bytes are counted where they enter the line and where they leave it.
Exit code 1 when a page is not what it was, or less is saved than LZ4 saves of such text.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import tempfile
from pathlib import Path

PAGES, LEAST = 20, 30  # percent
SERVER = """
import functools, http.server, sys
pages = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[2])
with http.server.HTTPServer(("", 8000), pages) as server:
    server.timeout = 30
    for _ in range(int(sys.argv[1])):
        server.handle_request()
"""
CLIENT = """
import hashlib, sys, time, urllib.request
for number in range(int(sys.argv[1])):
    for _ in range(50):
        try:
            page = urllib.request.urlopen(f"http://10.77.2.2:8000/{number}.log", timeout=5).read()
            break
        except OSError:
            time.sleep(0.1)  # the server is not up yet
    print(hashlib.sha256(page).hexdigest())
"""


def on(lab: str, host: str, *command: str) -> list[str]:
    """The command line that runs a command on a host of the lab."""
    return ["ebpfnf", "lab", "exec", "--name", lab, host, "--", *command]


def received(lab: str, host: str, port: str) -> int:
    """Bytes that a port has had."""
    table = subprocess.run(on(lab, host, "cat", "/proc/net/dev"), capture_output=True, text=True, check=True).stdout
    return int(next(line for line in table.splitlines() if line.strip().startswith(port)).split()[1])


def page(number: int) -> bytes:
    """A web server's log."""
    chance = random.Random(number)
    line = '192.0.2.{} - - [24/Nov/2026:10:{:02}:{:02} +0000] "GET /items/{} HTTP/1.1" 200 {} "-" "curl/8.5.0"\n'
    ranges = (256, 60, 60, 10**6, 50000)
    return "".join(line.format(*(chance.randrange(most) for most in ranges)) for _ in range(1000)).encode()


def main(lab: str) -> int:
    """Serve, read, compare, count."""
    with tempfile.TemporaryDirectory() as folder:
        pages = [page(number) for number in range(PAGES)]
        for number, data in enumerate(pages):
            Path(folder, f"{number}.log").write_bytes(data)
        server = subprocess.Popen(
            on(lab, "sink", sys.executable, "-c", SERVER, str(PAGES), folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        ends = ("h2", "lan0"), ("h1", "lan0")
        before = [received(lab, *end) for end in ends]
        reader = on(lab, "client", sys.executable, "-c", CLIENT, str(PAGES))
        told = subprocess.run(reader, capture_output=True, text=True, check=True).stdout.split()
        server.wait(60)
    plain, line = (received(lab, *end) - had for end, had in zip(ends, before, strict=True))
    right = told == [hashlib.sha256(data).hexdigest() for data in pages]
    saved = 100 - 100 * line // plain
    print(f"{len(told)} pages of {sum(map(len, pages)):,} bytes, {'all right' if right else 'NOT as they were'}")
    print(f"{plain:,} bytes came from the server, {line:,} crossed the line: {saved} % saved")
    return 0 if right and saved >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
