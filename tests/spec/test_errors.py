"""One line for each rule of the language: what is wrong, where, and what was wanted."""
# ruff: noqa: E501 -- a case is a line

from __future__ import annotations

import pytest

CHAIN, VNF, MNF = "chain.yaml", "vnfs/wall.yaml", "mnfs/gate/mnf.yaml"
RULE = '{allow: {ip.src: 192.0.2.0/24, l4.dport: [80, "1000-2000"]}, class: 7}'

CASES = [
    # ---- chain.yaml: shape
    (CHAIN, "ebpfnf: 1", "ebpfnf: 2", "chain.yaml:1:9: ebpfnf '2' (one of: 1)"),
    (CHAIN, "deployment: site", "deployment: Site_1", "chain.yaml:2:13: deployment 'Site_1' (wanted a lower-kebab name"),
    (CHAIN, "deployment: site\n", "", "chain.yaml:1:1: key 'deployment' is missing"),
    (CHAIN, "ports:", "prots:", "chain.yaml:3:1: unknown key 'prots' (did you mean 'ports'?)"),
    (CHAIN, "otherwise:", "otherwize:", "chain.yaml:5:26: unknown key 'otherwize' (did you mean 'otherwise'?)"),
    (CHAIN, "  wan: {interface", "  WAN: {interface", "chain.yaml:4:3: name 'WAN' (wanted a lower-kebab name"),
    (CHAIN, "{interface: eth0}", "{interface: 'eth0;id'}", "chain.yaml:4:20: interface 'eth0;id' (wanted an interface:"),
    (CHAIN, "{interface: eth0}", "{interface: 7}", "chain.yaml:4:20: interface '7' (quote it)"),
    (CHAIN, "{interface: eth0}", "[eth0]", "chain.yaml:4:8: wan '['eth0']' (wanted a mapping, key: value)"),
    (CHAIN, "{interface: eth0}", "{interface: eth0, fragments: maybe}", "chain.yaml:4:37: fragments 'maybe' (one of: drop, pass)"),
    (CHAIN, "{interface: eth0}", "{interface: eth0, on_fault: Drop}", "chain.yaml:4:36: on_fault 'Drop' (did you mean 'drop'?)"),
    (CHAIN, "{interface: eth0}", "{interface: eth0, otherwise: route}", "chain.yaml:4:37: otherwise 'route' (wanted pass, drop or {out: <port>})"),
    (CHAIN, "then: {out: lan}", "then: {out: lan, x: z}", "chain.yaml:11:66: then '{'out': 'lan', 'x': 'z'}' (wanted route, pass, reflect, drop or"),
    (CHAIN, ", then: {out: lan}", "", "chain.yaml:11:12: key 'then' is missing"),
    (CHAIN, "on: wan, match", "on: wan, direction: back, match", "chain.yaml:11:33: direction 'back' (one of: forward, reverse)"),
    (CHAIN, "match: {ip.proto: tcp}, ", "", "chain.yaml:11:12: key 'match' is missing"),
    (CHAIN, "path: [edge]", "path: edge", "chain.yaml:11:52: path 'edge' (wanted a list)"),
    (CHAIN, "deployment: site", "deployment: site\ngranularity: fine", "chain.yaml:3:14: granularity 'fine' (one of: auto, mnf, vnf, chain)"),
    (CHAIN, "  wan:", "\twan:", "chain.yaml:4:1: not YAML: a tab (indent with blanks)"),
    # ---- chain.yaml: names that must be there
    (CHAIN, "inbound: {on: wan", "inbound: {on: wam", "chain.yaml:11:17: no port 'wam' (did you mean 'wan'?)"),
    (CHAIN, "then: {out: lan}", "then: {out: lam}", "chain.yaml:11:72: no port 'lam' (did you mean 'lan'?)"),
    (CHAIN, "out: wan", "out: wax", "chain.yaml:5:37: no port 'wax' (did you mean 'wan'?)"),
    (CHAIN, "path: [edge]", "path: [egde]", "chain.yaml:11:53: no vnf 'egde' (did you mean 'edge'?)"),
    (CHAIN, "path: [edge]", "path: [edge, edge]", "chain.yaml:11:59: 'edge' is in the path twice (a second instance of the VNF has a state of its own)"),
    (CHAIN, "interface: eth1", "interface: eth0", "chain.yaml:5:20: interface 'eth0' is port 'wan' already"),
    (CHAIN, "vnf: wall", "vnf: walls", "chain.yaml:8:10: no vnf 'walls' (did you mean 'wall'?)"),
    (CHAIN, "vnf: wall", "mnf: gate", "(wanted vnf: <template>; an mNF stands in a template, if only by itself: vnfs/<template>.yaml)"),
    (CHAIN, "  edge:\n", "  route:\n", "chain.yaml:7:3: an instance can't be called 'route'"),
    (CHAIN, "chain: inbound", "chain: inbond", "chain.yaml:13:70: no chain 'inbond' (did you mean 'inbound'?)"),
    (CHAIN, "REDIRECT, port: lan", "REDIRECT, port: lam", "chain.yaml:13:104: no port 'lam' (did you mean 'lan'?)"),
    (CHAIN, "verdict: REDIRECT, port: lan", "verdict: DROP, port: lan", "port 'lan' with verdict DROP (only REDIRECT has a port)"),
    (CHAIN, "verdict: REDIRECT, port: lan", "verdict: DROP, reason: edge.shutt", "no reason 'shutt' (did you mean 'shut'?)"),
    (CHAIN, "verdict: REDIRECT, port: lan", "verdict: DROP, reason: egde.shut", "no vnf, chain or port 'egde' (did you mean 'edge'?)"),
    (CHAIN, "verdict: REDIRECT, port: lan", "verdict: DROP, by: edge.frist", "by 'edge.frist' (did you mean 'edge.first'?)"),
    (CHAIN, "verdict: REDIRECT, port: lan", "verdict: DROP, reason: chain.out.fragment", "no chain 'out' (chains: inbound)"),
    (CHAIN, "verdict: REDIRECT", "verdict: FORWARD", "verdict 'FORWARD' (one of: PASS, DROP, TX, REDIRECT)"),
    # ---- chain.yaml: match and rules
    (CHAIN, "ip.proto: tcp", "ip.protocol: tcp", "chain.yaml:11:30: unknown match key 'ip.protocol' (did you mean 'ip.proto'?)"),
    (CHAIN, "ip.proto: tcp", "tcp.flags: syn", "chain.yaml:11:30: unknown match key 'tcp.flags' (rules of a VNF can match it, chains can't)"),
    (CHAIN, "ip.proto: tcp", "ip.ttl: 1", "chain.yaml:11:30: unknown match key 'ip.ttl'"),
    (CHAIN, "ip.proto: tcp", "ip.proto: []", "chain.yaml:11:40: ip.proto is an empty list, which nothing matches"),
    (CHAIN, "ip.proto: tcp", "ip.proto: {tcp: 1}", "chain.yaml:11:40: ip.proto '{'tcp': 1}' (wanted a value, or a list of values)"),
    (CHAIN, "ip.proto: tcp", "ip.dst: 192.0.2.1/24", "chain.yaml:11:38: ip.dst '192.0.2.1/24' (wanted an IPv4 or IPv6 prefix without host bits"),
    (CHAIN, "ip.proto: tcp", 'ip.dst: "::ffff:192.0.2.1"', "chain.yaml:11:38: ip.dst '::ffff:192.0.2.1' (wanted"),
    (CHAIN, "ip.proto: tcp", "l4.dport: 70000", "chain.yaml:11:40: l4.dport '70000' (wanted a port from 0 to 65535"),
    (CHAIN, "ip.proto: tcp", "l4.dport: 90-80", "chain.yaml:11:40: l4.dport '90-80' (wanted a port"),
    (CHAIN, "ip.proto: tcp", "vlan.id: 4096", "chain.yaml:11:39: vlan.id '4096' (wanted a whole number from 0 to 4095)"),
    (CHAIN, "ip.proto: tcp", "ip.dscp: 64", "chain.yaml:11:39: ip.dscp '64' (wanted a whole number from 0 to 63)"),
    (CHAIN, "ip.proto: tcp", "ip.version: 5", "chain.yaml:11:42: ip.version '5' (wanted 4 or 6)"),
    (CHAIN, "ip.proto: tcp", "ip.version: true", "chain.yaml:11:42: ip.version true (wanted 4 or 6)"),
    (CHAIN, "ip.proto: tcp", "eth.src: 02-00", "chain.yaml:11:39: eth.src '02-00' (wanted a MAC address"),
    (CHAIN, "ip.proto: tcp", 'ip.src: 10.0.0.1, ip.dst: "2001:db8::1"', "chain.yaml:11:29: nothing can match this (no IP version fits ip.src, ip.dst)"),
    (CHAIN, "ip.proto: tcp", "ip.proto: icmp, l4.dport: 80", "chain.yaml:11:29: nothing can match this (l4.dport is there with ip.proto"),
    (CHAIN, RULE, "{permit: {}}", "chain.yaml:9:13: a rule needs one of allow and deny"),
    (CHAIN, RULE, "{allow: {}, deny: {}}", "chain.yaml:9:13: a rule needs one of allow and deny"),
    (CHAIN, RULE, "{allow: {}, clas: 1}", "chain.yaml:9:25: unknown key 'clas' in a rule (did you mean 'class'?)"),
    (CHAIN, RULE, "{allow: {}, class: 65536}", "chain.yaml:9:32: class '65536' (wanted a whole number from 0 to 65535)"),
    (CHAIN, RULE, "{allow: {ip.dst: 10.0.0.1}}", "chain.yaml:9:22: unknown match key 'ip.dst' (not in the table of the mNF that these rules fill)"),
    (CHAIN, RULE, "any", "chain.yaml:9:13: a rule needs one of allow and deny"),
    (CHAIN, "rules: [" + RULE + "]", "rules: {}", "chain.yaml:9:12: rules '{}' (wanted a list of rule)"),
    (CHAIN, "rules: [" + RULE + "]", "rules: [" + ", ".join(["{allow: {}}"] * 5) + "]", "chain.yaml:9:12: rules has 5 items (table 'rules' holds 4)"),
    (CHAIN, "    rules: [" + RULE + "]\n", "", "chain.yaml:8:5: vnf 'wall': parameter 'rules' is missing (wanted list[rule])"),
    (CHAIN, "rules: [", "ruels: []\n    rules: [", "chain.yaml:9:5: vnf 'wall' has no parameter 'ruels' (did you mean 'rules'?)"),
    # ---- chain.yaml: testbed
    (CHAIN, "  wan: {addresses", "  dmz: {addresses", "chain.yaml:15:3: no port 'dmz' (ports: wan, lan)"),
    (CHAIN, "[192.0.2.1/24]", "[192.0.2.1]", "chain.yaml:15:21: address '192.0.2.1' (wanted an address with its prefix length"),
    (CHAIN, "to: 203.0.113.0/24", "to: 203.0.113.1/24", "chain.yaml:15:50: '203.0.113.1/24' (wanted an IPv4 or IPv6 prefix without host bits"),
    (CHAIN, "via: 192.0.2.9", "via: gateway", "chain.yaml:15:71: 'gateway' (wanted an IPv4 or IPv6 address)"),
    (CHAIN, '"02:00:00:00:00:09"', "2:0:0:0:0:9a", "chain.yaml:15:108: '2:0:0:0:0:9a' (wanted a MAC address such as 02:00:00:00:00:01)"),
    # ---- vnf.yaml
    (VNF, "vnf: wall", "vnf: fence", "vnfs/wall.yaml:1:6: vnf 'fence' (wanted the file's name, 'wall')"),
    (VNF, "list[rule]", "list[rul]", "vnfs/wall.yaml:4:17: type 'list[rul]' (did you mean 'rule'?)"),
    (VNF, "summary: Two gates.", 'summary: "two\\nlines"', "vnfs/wall.yaml:2:10: summary 'two\\nlines' (wanted one line of text)"),
    (VNF, "first: {mnf: gate", "first: {mnf: gaet", "vnfs/wall.yaml:6:16: no mnf 'gaet' (did you mean 'gate'?)"),
    (VNF, "  second: {", "  exit: {", "vnfs/wall.yaml:7:3: a node can't be called 'exit'"),
    (VNF, "  second: {", "  Second: {", "vnfs/wall.yaml:7:3: name 'Second' (wanted a lower_snake name"),
    (VNF, "rules: $rules", "rules: $rulez", "vnfs/wall.yaml:6:29: no parameter 'rulez' (did you mean 'rules'?)"),
    (VNF, "idle: 5m", "idle: $rules", "vnfs/wall.yaml:7:40: '$rules' is list[rule] ('idle' wants duration)"),
    (VNF, "idle: 5m", "idle: 5 minutes", "vnfs/wall.yaml:7:40: idle '5 minutes' (wanted a duration such as 30s, 5m or 250ms)"),
    (VNF, "idle: 5m", "idel: 5m", "vnfs/wall.yaml:7:34: mnf 'gate' has no parameter 'idel' (did you mean 'idle'?)"),
    (VNF, "rules: []", "rules: [$rules]", "vnfs/wall.yaml:7:31: a rule needs one of allow and deny"),
    (VNF, ", rules: $rules", ", rules: []", "vnfs/wall.yaml:4:3: parameter 'rules' is given to no mNF (write $rules where it belongs, or remove it)"),
    (VNF, "rules: [], ", "", "vnfs/wall.yaml:7:11: mnf 'gate': parameter 'rules' is missing (wanted list[rule])"),
    (VNF, "params:\n  rules", "params:\n  vnf: {type: u8}\n  rules", "vnfs/wall.yaml:4:3: a parameter can't be called 'vnf'"),
    (VNF, "first -> second", "first => second", "vnfs/wall.yaml:9:5: link 'first => second' (wanted 'a -> b', 'a.outcome -> b' or '... -> exit')"),
    (VNF, "first -> second", "first -> secnd", "vnfs/wall.yaml:9:5: link 'first -> secnd': no node 'secnd' (did you mean 'second'?)"),
    (VNF, "first.unsure", "first.unsur", "vnfs/wall.yaml:10:5: link 'first.unsur -> exit': 'first' has no outcome 'unsur' (did you mean 'unsure'?)"),
    (VNF, "first.unsure", "first.NEXT", "vnfs/wall.yaml:10:5: link 'first.NEXT -> exit' (wanted"),
    (VNF, "  - second -> exit\n", "  - first -> exit\n  - second -> exit\n", "'first.NEXT' is linked already (in line 9)"),
    (VNF, "  - second -> exit\n", "", "vnfs/wall.yaml:7:3: vnf 'wall': outcome 'NEXT' of 'second' has no link (outcomes: NEXT, unsure)"),
    (VNF, "  - second -> exit\n", "  - exit -> first\n  - second -> exit\n", "link 'exit -> first': nothing leaves 'exit'"),
    (VNF, "links:", "entry: frist\nlinks:", "vnfs/wall.yaml:8:8: no node 'frist' (did you mean 'first'?)"),
    (VNF, "links:", "entry: {forward: first}\nlinks:", "vnfs/wall.yaml:8:8: entry (wanted a node's name, or {forward: node, reverse: node})"),
    # ---- mnf.yaml
    (MNF, "mnf: gate", "mnf: gates", "mnfs/gate/mnf.yaml:1:6: mnf 'gates' (wanted the folder's name, 'gate')"),
    (MNF, "reads: [ip.src", "reads: [ip.sorc", "mnfs/gate/mnf.yaml:3:9: no field 'ip.sorc' (did you mean 'ip.src'?)"),
    (MNF, "m.hash", "m.hahs", "mnfs/gate/mnf.yaml:3:17: no field 'm.hahs' (did you mean 'm.hash'?)"),
    (MNF, "m.gate.score", "m.gate.scroe", "mnfs/gate/mnf.yaml:3:25: no field 'm.gate.scroe' (did you mean 'm.gate.score'?)"),
    (MNF, "forward: [l4.dport]", "forward: [l4.dprt]", "mnfs/gate/mnf.yaml:4:24: no field 'l4.dprt' (did you mean 'l4.dport'?)"),
    (MNF, "reads_when: {forward", "reads_when: {sideways", "mnfs/gate/mnf.yaml:4:14: unknown key 'sideways' (keys: forward, reverse)"),
    (MNF, "writes: [m.class]", "writes: [ip.len]", "mnfs/gate/mnf.yaml:5:10: ip.len can't be written (writable: eth.dst, eth.src, "),
    (MNF, "writes: [m.class]", "writes: [m.dir]", "mnfs/gate/mnf.yaml:5:10: m.dir can't be written (the parser alone writes it)"),
    (MNF, "writes: [m.class]", "writes: [m.other.score]", "mnfs/gate/mnf.yaml:5:10: no field 'm.other.score'"),
    (MNF, "verdicts: [NEXT, DROP]", "verdicts: [NEXT, DORP]", "mnfs/gate/mnf.yaml:6:18: verdicts 'DORP' (did you mean 'DROP'?)"),
    (MNF, "verdicts: [NEXT, DROP]", "verdicts: [NEXT]", "mnfs/gate/mnf.yaml:16:1: reasons without DROP (add DROP to 'verdicts:')"),
    (MNF, "reasons: {shut: no rule allows it}\n", "", "mnfs/gate/mnf.yaml:6:11: DROP without reasons (name each cause under 'reasons:')"),
    (MNF, "{default: NEXT}", "{default: exit}", "default 'exit' (one of: NEXT, DROP, PASS)"),
    (MNF, "{unsure:", "{shut:", "'shut' is an outcome and a reason"),
    (MNF, "type: duration", "type: durations", "mnfs/gate/mnf.yaml:10:16: type 'durations' (did you mean 'duration'?)"),
    (MNF, "type: duration", 'type: "bytes[4]"', "mnfs/gate/mnf.yaml:10:16: type 'bytes[4]'"),
    (MNF, "default: 30s", "default: soon", "mnfs/gate/mnf.yaml:10:35: default 'soon' (wanted a duration"),
    (MNF, "  idle:", "  mnf:", "mnfs/gate/mnf.yaml:10:3: a parameter can't be called 'mnf'"),
    (MNF, "metadata: {score: u16}", "metadata: {score: u128}", "type 'u128' (did you mean"),
    (MNF, "metadata: {score: u16}", "metadata: {score: u16, int: u8}", "'int' is a word of C"),
    (MNF, "u8[16]", "u64[1200]", "scratch of 9608 bytes (at most 8192)"),
    (MNF, "u8[16]", "u8[n]", "type 'u8[n]'"),
    (MNF, "mnf: gate\n", "mnf: gate\nruns_in: unikernel\n", "'state' where 'runs_in' is 'unikernel' (leave it out)"),
    # ---- mnf.yaml: tables
    (MNF, "table: acl", "table: trie", "table 'trie' (one of: exact, prefix, acl, connections, counter, histogram, consistent_hash, automaton)"),
    (MNF, "when_full: evict, ", "", "table 'flows': key 'when_full' is missing (a table 'connections' needs value, size, when_full)"),
    (MNF, "size: 1024", "size: 0", "table 'flows': size 0 (wanted 1 to 4194304)"),
    (MNF, "size: 1024", "size: 1e3", "'1e3' is not clear"),
    (MNF, "size: 1024", "size: '1024'", "size '1024' (wanted a whole number)"),
    (MNF, "size: 4, filled_by: operator", "size: 4, filled_by: packets", "table 'rules': filled_by 'packets' (a table 'acl' is filled by operator only)"),
    (MNF, "size: 4, filled_by", "keep: true, size: 4, filled_by", "table 'rules': 'keep' means nothing here"),
    (MNF, "entries: rules", "entries: rulez", "table 'rules': no parameter 'rulez' (did you mean 'rules'?)"),
    (MNF, "entries: rules", "entries: idle", "table 'rules': parameter 'idle' is duration (wanted a list)"),
    (MNF, "key: [ip.src, l4.dport]", "key: [ip.src, ip.ttl]", "table 'rules': 'ip.ttl' can't be matched"),
    (MNF, "key: [ip.src, l4.dport]", "key: []", "table 'rules': key '[]' (wanted a list of match keys)"),
    (MNF, "class: u16}", "clazz: u16}", "table 'rules': a rule has no field 'clazz' (did you mean 'class'?)"),
    (MNF, "class: u16}", "class: u32}", "table 'rules': field 'class' is u32 (wanted u16)"),
    (MNF, "last_seen: u64", "last-seen: u64", "table 'flows': value: name 'last-seen' (wanted a lower_snake name"),
    (MNF, "last_seen: u64", "long: u64", "table 'flows': value: 'long' is a word of C"),
    (MNF, "last_seen: u64", "last_seen: time", "table 'flows': value: 'last_seen' 'time' (wanted a type: "),
    (MNF, "[64, 128]", "[128, 64]", "table 'sizes': buckets (wanted 1 to 64 inclusive upper bounds, ascending)"),
    (MNF, "{table: histogram, ", "{table: histogram, scope: core, ", "scope 'core' (one of: cpu, host)"),
    (MNF, "{table: histogram, buckets: [64, 128]}", "{table: counter, size: 4, value: u32}", "table 'sizes': value (what is counted is u64)"),
    (MNF, "{table: histogram, buckets: [64, 128]}", "{table: exact, key: ip, value: u8, size: 4, filled_by: packets}", "key 'when_full' is missing"),
    (MNF, "{table: histogram, buckets: [64, 128]}", "{table: prefix, key: ip, value: u32, size: 4}", "table 'sizes': key 'ip' (the key of a table 'prefix' is 'prefix': leave it out)"),
    (MNF, "{table: histogram, buckets: [64, 128]}", "{table: prefix, value: u32, size: 4, entries: rules}", "a list of rule can't make keys of type prefix"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "wanted"), CASES, ids=[f"{c[0].split('/')[0]}-{c[2][:40]!r}" for c in CASES])
def test_an_error_says_where_what_and_what_was_wanted(site, file, old, new, wanted):
    errors = site.change(file, old, new).errors()
    assert any(wanted in error for error in errors), errors


def test_all_errors_of_all_files_are_told_at_once_in_file_order(site):
    site.change(CHAIN, "interface: eth1", "interfaze: eth1").change(CHAIN, "path: [edge]", "path: [edgy]")
    site.change(VNF, "idle: 5m", "idle: soon")
    assert site.errors() == [
        "chain.yaml:5:8: key 'interface' is missing",
        "chain.yaml:5:9: unknown key 'interfaze' (did you mean 'interface'?)",
        "chain.yaml:11:53: no vnf 'edgy' (did you mean 'edge'?)",
        "vnfs/wall.yaml:7:40: idle 'soon' (wanted a duration such as 30s, 5m or 250ms)",
    ]


def test_a_broken_manifest_is_told_once_however_often_it_is_used(site):
    assert len(site.change(MNF, "m.hash", "m.hahs").errors()) == 1


def test_a_broken_entry_makes_no_errors_where_it_is_used(site):
    assert site.change(CHAIN, "interface: eth1", "interface: 'eth 1'").errors() == [
        "chain.yaml:5:20: interface 'eth 1' (wanted an interface: letters, digits and '_.@-', at most 15 characters)"
    ]


def test_sixteen_ports_are_too_many(site):
    ports = "".join(f"  p{i}: {{interface: e{i}}}\n" for i in range(16))
    assert any("18 ports (at most 15)" in error for error in site.change(CHAIN, "vnfs:", ports + "vnfs:").errors())


def test_of_very_many_errors_a_hundred_are_told_and_the_rest_counted(site):
    keys = ", ".join(f"k{i}: 1" for i in range(5000))
    errors = site.change(CHAIN, "{interface: eth0}", f"{{interface: eth0, {keys}}}").errors()
    assert len(errors) == 101 and errors[-1] == "chain.yaml: 4900 errors more"


def test_a_very_long_path_costs_no_time(site):
    path = ", ".join(["edge"] * 50_000)
    assert "49900 errors more" in site.change(CHAIN, "path: [edge]", f"path: [edge, {path}]").errors()[-1]


def test_the_body_must_be_there(site):
    del site.files["mnfs/gate/mnf.c"]
    assert site.errors() == ["mnfs/gate/mnf.yaml:1:1: no body 'mnf.c' beside the manifest"]


def test_a_template_may_not_come_from_outside_by_a_link(site, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "wall.yaml"
    outside.write_text(site.files.pop("vnfs/wall.yaml"))
    (site.folder / "vnfs").mkdir()
    (site.folder / "vnfs/wall.yaml").symlink_to(outside)
    assert site.errors() == ["chain.yaml:8:10: vnf 'wall': a symbolic link leads out of the folder (copy the file)"]


def test_a_body_may_not_come_from_outside_by_a_link(site):
    del site.files["mnfs/gate/mnf.c"]
    (site.folder / "mnfs/gate").mkdir(parents=True)
    (site.folder / "mnfs/gate/mnf.c").symlink_to("/etc/hostname")
    assert site.errors() == ["mnfs/gate/mnf.yaml:1:1: body 'mnf.c' is a symbolic link out of the folder (copy the file)"]


@pytest.mark.parametrize(("name", "what"), [("missing.yaml", "no such file"), (".", "not a regular file")])
def test_what_is_no_file_is_an_error(tmp_path, name, what):
    from ebpfnf import spec
    from ebpfnf.errors import SpecErrors

    with pytest.raises(SpecErrors, match=what):
        spec.load(tmp_path / name)


def test_a_pipe_does_not_make_the_reader_wait(tmp_path):
    import os

    from ebpfnf import spec
    from ebpfnf.errors import SpecErrors

    os.mkfifo(tmp_path / "chain.yaml")
    with pytest.raises(SpecErrors, match="not a regular file"):
        spec.load(tmp_path / "chain.yaml")
