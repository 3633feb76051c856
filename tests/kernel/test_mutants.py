"""The differential tests have teeth: a small mistake in any body is found within 2,000 frames."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ebpfnf import spec
from tests.differential import Difference, compare
from tests.subjects import SUBJECTS

pytestmark = pytest.mark.kernel
BY_NAME = {subject.name: subject for subject in SUBJECTS}

MUTANTS = [
    ("firewall-open", "acl_l2", "cfg.default_", "DEFAULT_DENY"),
    ("firewall-open", "acl_5t", "return DROP(acl_deny);", "return NEXT;"),
    ("firewall", "acl_5t", "pkt->m.class = rule->class;", "pkt->m.class = rule->class + 1;"),
    ("monitor", "size_hist", "get_pkt_len(pkt)", "get_pkt_len(pkt) - 1"),
    ("monitor", "subnet_count", "== FORWARD", "!= FORWARD"),
    ("monitor", "subnet_count", "pkt->m.have & HAVE_IP", "1"),
    ("monitor", "subnet_count", ".packets = 1", ".packets = 2"),
    ("check_ip", "check_ip", ">= 224", "> 224"),
    ("check_ip", "check_ip", "!ip_checksum_ok(pkt)", "0"),
    ("check_ip", "check_ip", "ip->q[0] == 0;", "ip_is_zero(ip);"),
    ("ttl_dec", "ttl_dec", "ttl <= 1", "ttl < 1"),
    ("ttl_dec", "ttl_dec", "ttl - 1", "ttl - 2"),
    ("router-inside", "mac_rewrite", "set_eth_src(pkt, &pkt->m.nh_src)", "set_eth_src(pkt, &pkt->m.nh_dst)"),
    ("router-inside", "route", "get_ip_ttl(pkt) <= 1", "0"),
    ("router-inside", "route", "hop.port", "hop.port ^ 3"),
    ("load-balancer", "dnat_rewrite", "set_l4_dport(pkt, backend.port);", ""),
    ("load-balancer", "dnat_rewrite", "session->last_seen = pkt->now;", ""),
    ("load-balancer", "lb_maglev", "? backend->v4 : backend->v6", "? backend->v6 : backend->v4"),
    ("load-balancer", "flow_hash", "flow_hash(&pkt->flow)", "flow_hash(&pkt->flow) + 1"),
]


@pytest.mark.parametrize(("subject", "mnf", "right", "wrong"), MUTANTS, ids=lambda text: text[:24])
def test_mutant_is_found(subject: str, mnf: str, right: str, wrong: str, tmp_path: Path) -> None:
    folder = tmp_path / "mnfs" / mnf  # beside chain.yaml: it goes before the built-in one
    shutil.copytree(spec.BUILT_IN / "progs" / mnf, folder)
    body = folder / "mnf.c"
    assert right in body.read_text(), f"{mnf}: the line to be changed is not there any more"
    body.write_text(body.read_text().replace(right, wrong))
    with pytest.raises(Difference):
        compare(BY_NAME[subject], tmp_path, seed=1, count=2_000, granularities=("chain",))
