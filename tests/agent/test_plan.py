"""Change is data before it is deed: a plan is what it should be, or says why this host refuses. No kernel needed."""

from __future__ import annotations

import dataclasses

import pytest

from ebpfnf.agent import manifest, outputs
from ebpfnf.agent.netlink import Interface
from ebpfnf.agent.plan import Options, plan, plan_reconcile, plan_rollback, plan_undeploy
from ebpfnf.agent.seen import Generation, Observed, PortSeen
from ebpfnf.bundle import sealed
from ebpfnf.errors import AgentError
from ebpfnf.model import Bundle, ConstLayout, MapSpec, Port, Program, Scope, SlotLayout, Table

WAN, LAN = Port("wan", 1, "eth0", on_fault="drop"), Port("lan", 2, "eth1", on_fault="drop")
FREE = {"eth0": Interface("eth0", 10, 1500, "veth", True), "eth1": Interface("eth1", 11, 1500, "veth", True)}


def bundle(*ports: Port, state: str = "", salt: bytes = b"") -> Bundle:
    maps = (MapSpec("flows", "lru_hash", 40, 8, 16, Scope.STATE, pin=state),) if state else ()
    table = Table("edge.acl.rules", "t0", "exact", "ip", "u32", 8, "operator", "host", "", False, entries=(("192.0.2.1", 0),))
    return sealed(
        Bundle(
            deployment="dc",
            ports=ports or (WAN, LAN),
            programs=(Program("seg_0", salt, ()),),
            maps=maps,
            tables=(table,),
            counters=(),
            slot=SlotLayout(64, 0, 24, 32),
            const=ConstLayout(8, 0, 4, 0, 0),
            stages=(),
            positions=(),
            links=(),
            chains=(),
        )
    )


def running(*bundles: Bundle, live: int = 0, attached: bool = True, **changes: object) -> Observed:
    """What is seen when these bundles are generations 1, 2, ... and the last one is live."""
    bound = [{p.name: (FREE[p.interface].ifindex, 1500) for p in b.ports} for b in bundles]
    generations = tuple(Generation(i, manifest.of_bundle(b, i, bound[i - 1], {})) for i, b in enumerate(bundles, 1))
    ports = bundles[-1].ports if attached else ()
    interfaces = dict(FREE)
    for port in ports:
        interfaces[port.interface] = dataclasses.replace(FREE[port.interface], program=100 + port.number, mode="native")
    pins = tuple(PortSeen(p.name, p.number, p.on_fault, 100 + p.number, FREE[p.interface].ifindex) for p in ports)
    state = tuple(sorted({m.pin for b in bundles for m in b.maps} | {"retired"}))
    seen = Observed("dc", True, generations, live or len(bundles), True, pins, interfaces, {}, state)
    return dataclasses.replace(seen, **changes)  # type: ignore[arg-type]


def steps(actions: object) -> list[str]:
    return [f"{a.verb} {a.what}" for a in actions]  # type: ignore[attr-defined]


def test_first_deploy_attaches_after_the_flip() -> None:
    wanted = ["load 1", "fill 1", "check 1", "pin 1", "flip 1", "attach wan", "attach lan"]
    assert steps(plan(bundle(), Observed("dc", interfaces=FREE))) == wanted


def test_nothing_to_do() -> None:
    assert plan(bundle(), running(bundle())) == ()


def test_update_keeps_the_generation_before_and_drops_the_one_before_that() -> None:
    seen = running(bundle(salt=b"1"), bundle(salt=b"2"))
    assert steps(plan(bundle(salt=b"3"), seen)) == ["load 3", "fill 3", "check 3", "pin 3", "flip 3", "grace 2", "retire 1"]


def test_state_that_no_kept_generation_uses_is_swept() -> None:
    seen = running(bundle(state="a-v1"), bundle(state="b-v1"))
    assert steps(plan(bundle(state="b-v2"), seen))[-2:] == ["retire 1", "sweep state/a-v1"]


def test_a_live_generation_that_cannot_be_read_is_replaced_and_goes() -> None:
    seen = dataclasses.replace(running(bundle()), generations=(Generation(1),))
    assert steps(plan(bundle(), seen))[-2:] == ["grace 1", "retire 1"]


def test_numbers_are_never_used_twice() -> None:
    seen = running(bundle(salt=b"1"), folded=7, leftovers=("tmp-gen-9",))
    actions = steps(plan(bundle(salt=b"2"), seen))
    assert actions[0] == "load 10" and actions[-1] == "sweep tmp-gen-9"


def test_leftovers_of_a_cut_off_writer_are_tidied_though_all_runs() -> None:
    seen = running(bundle(salt=b"1"), bundle(salt=b"2"), bundle(salt=b"3"), live=2, leftovers=("tmp-gen-4",))
    assert steps(plan(bundle(salt=b"2"), seen)) == ["sweep tmp-gen-4", "retire 3"]


def test_a_lost_link_is_attached_again() -> None:
    seen = running(bundle())
    bare = {**seen.interfaces, "eth0": FREE["eth0"]}
    seen = dataclasses.replace(seen, ports=(PortSeen("wan", 1, "drop"), seen.ports[1]), interfaces=bare)
    assert steps(plan(bundle(), seen)) == ["attach wan"] == steps(plan_reconcile(seen))


def test_a_port_moves_to_another_interface() -> None:
    moved = {**running(bundle()).interfaces, "eth2": Interface("eth2", 12, 1500, "veth", True)}
    actions = steps(plan(bundle(dataclasses.replace(WAN, interface="eth2"), LAN), running(bundle(), interfaces=moved)))
    assert actions[5:7] == ["detach wan", "attach wan"]


def test_an_interface_made_anew_needs_a_new_generation() -> None:
    seen = running(bundle())
    seen = dataclasses.replace(
        seen,
        ports=(PortSeen("wan", 1, "drop", 101, 0), seen.ports[1]),
        interfaces={**seen.interfaces, "eth0": Interface("eth0", 77, 1500, "veth", True)},
    )
    assert "load 2" in steps(plan(bundle(), seen)) and "attach wan" in steps(plan(bundle(), seen))
    with pytest.raises(AgentError, match="another one now"):
        plan_reconcile(seen)


def test_a_port_comes_and_goes() -> None:
    assert "attach lan" in steps(plan(bundle(WAN, LAN), running(bundle(WAN))))
    assert "detach lan" in steps(plan(bundle(WAN), running(bundle(WAN, LAN))))


def test_on_fault_is_changed_by_another_root_program() -> None:
    assert "replace wan" in steps(plan(bundle(dataclasses.replace(WAN, on_fault="pass"), LAN), running(bundle())))


def test_a_port_keeps_its_number_under_traffic() -> None:
    with pytest.raises(AgentError, match="'lan' would change its number from 2 to 1"):
        plan(bundle(dataclasses.replace(LAN, number=1)), running(bundle()))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, "has no interface 'eth0'"),
        ({"eth0": Interface("eth0", 10, 1500, "veth", True, 55)}, "belongs to deployment 'other'"),
        ({"eth0": Interface("eth0", 10, 9000, "veth", True)}, "mtu 9000 of veth 'eth0' is too large"),
    ],
)
def test_refused_ports(change: dict[str, Interface], says: str) -> None:
    seen = Observed("dc", interfaces={"eth1": FREE["eth1"], **change}, owners={55: "deployment 'other'"})
    with pytest.raises(AgentError, match=says):
        plan(bundle(), seen)


def test_live_entries_stop_a_deploy_until_told_what_to_do() -> None:
    seen = running(bundle(), edited={"edge.acl.rules": "1 entry more"})
    with pytest.raises(AgentError, match=r"'edge.acl.rules' was changed live"):
        plan(bundle(), seen)
    with pytest.raises(AgentError, match="both"):
        plan(bundle(), seen, Options(True, True))
    assert plan(bundle(), seen, Options(keep_entries=True)) == ()
    assert steps(plan(bundle(), seen, Options(discard_entries=True)))[:2] == ["load 2", "fill 2"]
    assert "kept in edge.acl.rules" in str(plan(bundle(salt=b"2"), seen, Options(keep_entries=True))[1])


def test_what_is_only_for_what_runs_starts_nothing() -> None:
    only = Options(keep_entries=True, running=True)
    with pytest.raises(AgentError, match=r"'dc' does not run here"):
        plan(bundle(), Observed("dc", interfaces=FREE), only)
    assert plan(bundle(), running(bundle()), only) == ()


def test_rollback() -> None:
    seen = running(bundle(WAN, LAN), bundle(WAN))
    assert steps(plan_rollback(seen)) == ["flip 1", "attach lan", "grace 2", "retire 2"]
    with pytest.raises(AgentError, match="no earlier generation"):
        plan_rollback(running(bundle()))


def test_undeploy_detaches_first_and_twice_is_nothing() -> None:
    assert steps(plan_undeploy(running(bundle()))) == ["detach wan", "detach lan", "remove dc"]
    assert plan_undeploy(Observed("dc")) == ()


def test_every_step_before_the_flip_can_be_taken_back() -> None:
    actions = plan(bundle(), Observed("dc", interfaces=FREE))
    assert [a.verb for a in actions if not a.undo] == ["fill", "check"]


def test_who_may_send_to_an_interface_that_takes_nothing_is_told() -> None:
    interfaces = {**FREE, "eth1": dataclasses.replace(FREE["eth1"], takes=False)}
    for then, told in (("out:lan", 1), ("route", 1), ("out:wan", 0), ("pass", 0)):
        wanted = dataclasses.replace(bundle(), chains=({"name": "in", "on": "wan", "then": then},))
        found = outputs.warnings(wanted, interfaces)
        assert len(found) == told, then
        assert all("port 'lan': 'eth1' takes no frames" in words for words in found)


def test_kept_state_on_another_map_is_carried_over_or_said_to_begin_empty() -> None:
    """By what its entries look like: the pin tells only that the map is another one."""

    def kept(pin: str, size: int, value: str) -> Bundle:
        flows = Table("lb.nat.flows", "flows", "connections", None, value, size, "packets", "host", "evict", True)
        return sealed(dataclasses.replace(bundle(state=pin), tables=(flows,)))

    seen = running(kept("flows-v1", 16, "u32"))
    assert "keeps flows-v1" in plan(dataclasses.replace(kept("flows-v1", 16, "u32"), digest="x"), seen)[0].detail
    assert plan(kept("flows-v2", 32, "u32"), seen)[0].detail.endswith("; 1 new state tables; carries over lb.nat.flows")
    assert plan(kept("flows-v2", 16, "u64"), seen)[0].detail.endswith("; another layout, so it begins empty: lb.nat.flows")
    both = running(kept("flows-v2", 32, "u32"), kept("flows-v1", 16, "u32"))  # a map that an earlier generation left is not what is kept
    assert "carries over lb.nat.flows" in plan(dataclasses.replace(kept("flows-v2", 32, "u32"), digest="x"), both)[0].detail
