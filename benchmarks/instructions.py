"""Work is counted before it is timed: the instructions that a packet of a known connection takes, by the file that they come from."""

from __future__ import annotations

from collections import Counter

from benchmarks import chains
from benchmarks.frames import Mix
from benchmarks.interpreter import Interpreter
from benchmarks.measure import Figure, figure
from benchmarks.memory import Memory
from benchmarks.monoliths import edge
from ebpfnf.compile import btf
from ebpfnf.kernel import programs
from ebpfnf.model import Bundle


def run() -> list[Figure]:
    """bench4 and the example without its router, on direct tables."""
    bench4 = chains.build(chains.bench4(tables="direct"))
    cases = {
        "bench4, IPv4": (bench4, Mix(flows=1)),
        "bench4, IPv6": (bench4, Mix(flows=1, family=6)),
        "example, no HTTP": (edge("auto"), Mix(size=256, http=0, flows=1)),
    }
    found: list[Figure] = []
    for name, (bundle, mix) in cases.items():
        with Memory({"direct": bundle}) as rig:
            loaded = rig.loaded["direct"]
            machine, frame = Interpreter(bundle, loaded), mix.frames()[0]
            for _ in range(3):
                action, data, executed = machine.run(frame)
            rig.use(mix)
            rig.one("direct")
            wanted = rig.one("direct")
            if (action, data) != wanted:
                raise AssertionError(f"interpreted, {name} makes {(action, data)} of a packet, in the kernel {wanted}")
            verified = sum(programs.info(fd).verified_insns for fd in loaded.programs)
        found.append(figure(name, [executed.total()], "instructions"))
        found += [figure(f"{name}, {file}", [count], "instructions") for file, count in _by_file(bundle, executed).most_common()]
        found.append(figure(f"{name}, looked at by the verifier", [verified], "instructions"))
    return found


def _by_file(bundle: Bundle, executed: Counter[tuple[int, int]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for number, program in enumerate(bundle.programs):
        lines = btf.lines(btf.Btf(program.btf), btf.Info(program.line_info, program.line_info_size))
        ends = [line.index for line in lines[1:]] + [len(program.insns)]
        for line, end in zip(lines, ends, strict=True):
            counts[line.file] += sum(executed[number, index] for index in range(line.index, end))
    return +counts
