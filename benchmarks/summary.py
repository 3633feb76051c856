"""The README's table of figures, made of results that were kept (`--keep FOLDER`): `python -m benchmarks plots` writes it anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Figure

README = Path(__file__).resolve().parent.parent / "README.md"
_BEGIN, _END = "<!-- figures: python -m benchmarks plots -->\n", "<!-- end of figures -->\n"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: a figure by its name, or what that begins with; `inverse`: a ratio, said as how many times less."""

    words: str
    benchmark: str
    figure: str
    inverse: bool = False

    def line(self, folder: Path) -> str:
        """In Markdown. LookupError where this figure was not kept."""
        try:
            kept = [Figure(**each) for each in json.loads((folder / f"{self.benchmark}.json").read_text())]
            (found,) = [each for each in kept if each.name == self.figure] or [each for each in kept if each.name.startswith(self.figure)]
        except (FileNotFoundError, ValueError) as error:
            raise LookupError(f"{folder}: no figure '{self.figure}' of {self.benchmark}: {error}") from None

        def said(number: float) -> str:
            if self.inverse:
                return f"{1 / number:.3g}×"
            short = f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:.2f}"
            return short if found.unit == "x" else f"{short} {found.unit}"

        spread = sorted((found.low, found.high), reverse=self.inverse)
        measured = said(found.median) + (f" ({said(spread[0])} to {said(spread[1])})" if found.rounds > 1 else "")
        goal = "" if found.goal is None else said(found.goal) + ("" if found.met else ", missed")
        return f"| {self.words} | {measured} | {goal} | {self.benchmark} |"


ROWS = (
    Row("bench4, by one function by hand on the same maps", "fused-vs-handwritten", "fused / by hand, IPv4, 1k flows"),
    Row("bench4 on direct tables, by that function on kernel maps", "fused-vs-handwritten", "direct / by hand, IPv4, 1k flows"),
    Row("what bench4 adds to a bare XDP redirect, end to end", "over-redirect", "ebpfnf, direct tables over redirect, 64 bytes"),
    Row("bench4 cheaper than nftables with the same rules", "vs-nftables", "ebpfnf, direct tables / nftables", inverse=True),
    Row("cheaper than iptables with ipset", "vs-iptables-ipset", "ebpfnf, direct tables / iptables and ipset", inverse=True),
    Row("cheaper than one function by hand for tc", "vs-tc", "ebpfnf, direct tables / tc-bpf", inverse=True),
    Row("cheaper than the kernel's routing without rules", "vs-routing", "ebpfnf, direct tables / routing", inverse=True),
    Row("a firewall, by xdp-filter", "vs-xdp-filter", "direct / xdp-filter, IPv4"),
    Row("the data-centre chain by four monoliths by hand", "chain-vs-monoliths", "fused, kernel / monoliths, kernel, 50 % HTTP"),
    Row("both on direct tables", "chain-vs-monoliths", "fused, direct / monoliths, direct, 50 % HTTP"),
    Row("one more small mNF", "light-mnfs", "each more, light"),
    Row("one more that counts, too", "light-mnfs", "each more, counting"),
    Row("`plan` of 40 mNFs, nothing compiled before", "plan-40", "plan of 40 mNFs, cold"),
    Row("packets lost by a swap at full load", "swap-cost", "packets lost, a swap"),
    Row("first deploy on 20 hosts by ssh", "fleet", "first deploy on"),
    Row("a unikernel from libvirt's start to ready", "vms", "from libvirt's start to ready"),
    Row("64 B frames through a Linux guest, by ours", "vms", "a Linux guest's frames by ours, tcg"),
)


def table(folder: Path) -> str:
    """The whole table. LookupError where a figure of it was not kept in this folder."""
    head = "| what | measured (least to most) | goal | benchmark |\n| --- | --- | --- | --- |\n"
    return head + "".join(f"{row.line(folder)}\n" for row in ROWS)


def write(folder: Path, readme: Path = README) -> None:
    """Puts the table between its marks."""
    before, _, rest = readme.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    readme.write_text(f"{before}{_BEGIN}{table(folder)}{_END}{after}")
