"""Files that want something else than to describe a deployment. Each is refused, for the reason written here, and nothing else happens."""
# ruff: noqa: E501 -- a case is a line

from __future__ import annotations

from pathlib import Path

import pytest

from ebpfnf import spec
from ebpfnf.errors import SpecErrors
from ebpfnf.spec import yaml

FOLDER = Path(__file__).parent / "attacks"

# file -> how its first error goes on behind the file's name
REFUSED = {
    "absolute-vnf": "6:16: vnf '/etc/passwd' (wanted a lower-kebab name",
    "address-as-number": "8:38: ip.src '3221225985' (wanted an IPv4 or IPv6 prefix, such as 192.0.2.0/24)",
    "address-with-leading-zeros": "8:38: ip.src '192.000.2.1' (wanted an IPv4 or IPv6 prefix, such as 192.0.2.0/24)",
    "address-with-spaces": "8:38: ip.src ' 192.0.2.1' (wanted an IPv4 or IPv6 prefix, such as 192.0.2.0/24)",
    "alias-bomb": "1:4: anchor '&a' (remove it: there are no aliases here)",
    "alias-to-itself": "1:4: anchor '&a' (remove it: there are no aliases here)",
    "anchor": "8:29: anchor '&any' (remove it: there are no aliases here)",
    "bidi-override": "9:3: invisible character U+202E (remove it)",
    "binary-tag": "2:13: tag 'tag:yaml.org,2002:binary' (remove it: types are known from the key)",
    "block-scalar-name": "2:13: deployment 'site\\nint x;\\n' (wanted a lower-kebab name",
    "bom": "1:1: the file begins with a byte order mark (save it as UTF-8 without BOM)",
    "c-comment-in-chain-name": "8:3: name 'a*/ int x; /*' (wanted a lower-kebab name",
    "c-in-instance-name": "6:3: name 'a(){} int x' (wanted a lower-kebab name",
    "c-include-in-vnf-name": "6:16: vnf '#include \"/etc/shadow\"' (wanted a lower-kebab name",
    "code-point-out-of-range": "2:1: not YAML: a character that does not exist",
    "date": "2:13: '2024-01-01' is not clear (quote it: it may be read as a date)",
    "deep-block": "1:41: nested too deep (at most 20 levels)",
    "deep-flow-closed": "1:23: nested too deep (at most 20 levels)",
    "deep-flow": "1:23: nested too deep (at most 20 levels)",
    "deep-indent": "21:21: nested too deep (at most 20 levels)",
    "deep-maps": "1:81: nested too deep (at most 20 levels)",
    "dotdot-vnf": "6:16: vnf '..' (wanted a lower-kebab name",
    "dots-in-vnf": "6:16: vnf '../../etc/passwd' (wanted a lower-kebab name",
    "duplicate-key-by-escape": "8:45: duplicate key 'ip.proto' (first in line 8)",
    "duplicate-key-by-quotes": "8:45: duplicate key 'ip.proto' (first in line 8)",
    "duplicate-key-in-flow": "8:45: duplicate key 'ip.proto' (first in line 8)",
    "duplicate-section": "9:1: duplicate key 'chains' (first in line 7)",
    "elf": "1:1: invisible character U+007F (remove it)",
    "empty-value": "8:22: a value is missing (write a value, [], {} or \"\", or leave the key out)",
    "empty": "1:1: the file is empty",
    "escape-sequence-of-terminals": "2:13: an escape that makes an invisible character (in double quotes write the backslash twice)",
    "exponent": "8:40: '8e1' is not clear (write a decimal whole number, or quote it)",
    "fraction": "8:40: '80.0' is not clear (write a decimal whole number, or quote it)",
    "framework-is-no-vnf": "6:16: no vnf 'framework' (there are: ",
    "full-width-in-name": "2:13: deployment '\\uff53ite' (wanted a lower-kebab name",
    "gzip": "1:2: not UTF-8 (save it as UTF-8)",
    "hexadecimal": "8:40: '0x0800' is not clear (write a decimal number, or quote it)",
    "infinity": "8:40: '.inf' is not clear (write a decimal whole number, or quote it)",
    "jinja-expression-in-deployment": "2:13: deployment '{{ 7 * 7 }}' (wanted a lower-kebab name",
    "jinja-in-argument": "6:35: subnets '{{ x }}' (wanted an IPv4 or IPv6 prefix, such as 192.0.2.0/24)",
    "jinja-statement-in-instance": "6:3: name '{% include '/etc/shadow' %}' (wanted a lower-kebab name",
    "key-is-a-list": "1:3: a key that is a list or a mapping (a key is a word)",
    "key-is-a-map": "1:3: a key that is a list or a mapping (a key is a word)",
    "latin-1": "2:14: not UTF-8 (save it as UTF-8)",
    "line-separator": "9:4: invisible character U+2028 (remove it)",
    "local-tag": "8:29: tag '!include' (remove it: types are known from the key)",
    "lone-carriage-return": "9:4: invisible character U+000D (remove it)",
    "look-alike-key": "7:1: unknown key 'ch\\u0430ins' (did you mean 'chains'?)",
    "look-alike-letter-in-vnf": "6:16: vnf 'm\\u043enitor' (wanted a lower-kebab name",
    "merge-key-block": "9:1: merge key '<<' (write the keys out)",
    "merge-key": "8:30: merge key '<<' (write the keys out)",
    "negative-number": "8:40: l4.dport '-80' (wanted a port from 0 to 65535, or a range such as 1024-65535)",
    "new-octal": "8:40: '0o120' is not clear (write a decimal number, or quote it)",
    "newline-at-the-end-of-a-name": "2:13: deployment 'site\\n' (wanted a lower-kebab name",
    "newline-at-the-end-of-an-interface": "4:20: interface 'eth0\\n' (wanted an interface: letters, digits and '_.@-', at most 15 characters)",
    "newline-in-a-chain-name": "8:3: name 'in\\nint x' (wanted a lower-kebab name",
    "next-line": "9:4: invisible character U+0085 (remove it)",
    "no-as-value": "8:54: 'no' is not clear (write true or false, or quote it)",
    "non-specific-tag": "2:13: tag '!' (remove it: types are known from the key)",
    "nul-by-escape": "2:13: an escape that makes an invisible character (in double quotes write the backslash twice)",
    "nul-in-text": "9:3: invisible character U+0000 (remove it)",
    "null": "8:29: '~' is not clear (write a value, [], {} or \"\", or leave the key out)",
    "octal": "8:40: '010' is not clear (write a decimal number without leading zeros, or quote it)",
    "off-as-value": "8:54: 'OFF' is not clear (write true or false, or quote it)",
    "only-a-comment": "1:1: the file is empty",
    "only-a-list": "1:1: the file '['a']' (wanted a mapping, key: value)",
    "only-a-word": "1:1: the file 'hello' (wanted a mapping, key: value)",
    "out-to-a-list": "8:54: then '{'out': ['lan']}' (wanted route, pass, reflect, drop or {out: <port>})",
    "out-to-a-map": "8:54: then '{'out': {'out': 'lan'}}' (wanted route, pass, reflect, drop or {out: <port>})",
    "out-to-a-path": "8:54: then 'out: ../lan' (wanted route, pass, reflect, drop or {out: <port>})",
    "overlong-utf-8": "2:14: not UTF-8 (save it as UTF-8)",
    "path-in-interface": "4:20: interface '../../eth0' (wanted an interface: letters, digits and '_.@-', at most 15 characters)",
    "path-of-paths": "8:40: '['stats']' in a path (wanted a VNF's name",
    "prefix-of-everything-in-one-list": "8:50: ip.src '300.1.1.1' (wanted an IPv4 or IPv6 prefix, such as 192.0.2.0/24)",
    "python-object-tag": "8:29: tag 'tag:yaml.org,2002:python/object/apply:os.system' (remove it: types are known from the key)",
    "random-bytes": "1:1: not UTF-8 (save it as UTF-8)",
    "reference-in-chain": "6:34: subnets '$subnets' (wanted a list of prefix)",
    "reserved-instance": "6:3: an instance can't be called 'route' (the framework calls things of its own so)",
    "scoped-address": "8:38: ip.src 'fe80::1%eth0' (wanted an IPv4 or IPv6 prefix, such as 192.0.2.0/24)",
    "sexagesimal-mac": "8:39: '02:00:00:00:00:01' is not clear (quote it: digits and colons may be read as a number with base 60)",
    "sexagesimal": "8:40: '1:20' is not clear (quote it: digits and colons may be read as a number with base 60)",
    "shell-in-interface": "4:20: interface '$(reboot)' (wanted an interface: letters, digits and '_.@-', at most 15 characters)",
    "string-tag": "2:13: tag 'tag:yaml.org,2002:str' (remove it: types are known from the key)",
    "surrogate-by-escape": "2:13: an escape that makes an invisible character (in double quotes write the backslash twice)",
    "surrogates-in-utf-8": "2:14: not UTF-8 (save it as UTF-8)",
    "tab-indent": "4:1: not YAML: a tab (indent with blanks)",
    "tag-directive": "2:1: a YAML directive (remove the line that begins with '%')",
    "two-documents": "9:1: a second document (one file, one document)",
    "unclosed-flow": "8:30: not YAML: expected the node content, but found ','",
    "unclosed-quote": "9:1: not YAML: found unexpected end of stream",
    "underscore-in-instance": "6:3: name 'stats__x' (wanted a lower-kebab name",
    "underscored-number": "8:40: '8_0' is not clear (write the number without '_', or quote it)",
    "unicode-digits-in-port": "8:40: l4.dport '\\u0668\\u0660' (wanted a port from 0 to 65535, or a range such as 1024-65535)",
    "unicode-digits-in-prefix": "8:38: ip.src '192.0.2.0/\\u0662\\u0664' (wanted an IPv4 or IPv6 prefix, such as 192.0.2.0/24)",
    "unknown-alias": "8:29: alias '*any' (write the value out)",
    "utf-16": "1:1: the file begins with a byte order mark (save it as UTF-8 without BOM)",
    "utf-32": "1:2: invisible character U+0000 (remove it)",
    "verbatim-tag": "8:29: tag 'tag:yaml.org,2002:python/name:os.system' (remove it: types are known from the key)",
    "very-long-key": "8:5: a key of 2000 characters (at most 128)",
    "very-long-name": "2:13: deployment 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' (wanted a lower-kebab name",
    "very-long-number": "8:40: '999999999999999999999999999999999999999999999999999999999999...' is not clear (write a decimal whole number, or",
    "very-long-scalar": "2:13: a text of 100000 characters (at most 8192)",
    "yaml-directive": "2:1: a YAML directive (remove the line that begins with '%')",
    "zero-width-in-key": "7:4: invisible character U+200B (remove it)",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_the_attack_is_refused_for_its_reason(name):
    with pytest.raises(SpecErrors) as caught:
        spec.load(FOLDER / f"{name}.yaml")
    first = str(caught.value.errors[0])
    assert first.startswith(f"{FOLDER / name}.yaml:{REFUSED[name]}")
    assert first.isprintable() and len(first) < 400 + len(str(FOLDER))


def test_every_reason_has_its_attack():
    assert set(REFUSED) == {path.stem for path in FOLDER.glob("*.yaml")}


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: b"a" * (yaml.MAX_BYTES + 1), "the file is too big (at most 1048576 bytes)"),
        (lambda: b"a: [" + b"1," * 400_000 + b"]", "too many values (at most 200000 in a file)"),
        (lambda: b"[" * yaml.MAX_BYTES, "nested too deep (at most 20 levels)"),
        (lambda: b"a: &a [x]\nb: [" + b"*a," * 50_000 + b"]", "alias '*a' (write the value out)"),
        (lambda: b"a: '" + b"x" * 1_000_000 + b"'", "a text of 1000000 characters (at most 8192)"),
    ],
    ids=["bytes", "nodes", "depth", "aliases", "scalar"],
)
def test_what_is_too_much_is_refused(write, make, wanted):
    with pytest.raises(SpecErrors) as caught:
        spec.load(write(make()))
    assert any(wanted in str(error) for error in caught.value.errors[:3])


def test_a_long_list_of_prefixes_is_no_attack(write):
    text = "ebpfnf: 1\ndeployment: site\nports: {wan: {interface: eth0}}\nchains:\n  in:\n    on: wan\n    match: {ip.src: ["
    prefixes = [f"10.{i // 250}.{i % 250}.0/24" for i in range(20_000)]
    loaded = spec.load(write(text + ", ".join(prefixes) + "]}\n    path: []\n    then: pass\n"))
    assert loaded.chains[0].match["ip.src"] == tuple(prefixes)
