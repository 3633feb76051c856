"""All campaigns, as a table."""

from __future__ import annotations

from tests.long import differential, fuzz, guided, lab, machines, manager, optimise, swap, wan
from tests.long.campaign import Campaign

CAMPAIGNS: tuple[Campaign, ...] = (
    Campaign("lab-crash", "a lab killed at any moment of being built is removed whole", lab.crashes, root=True),
    Campaign("swap", "swaps under load lose and mix no packet; a check is a packet", swap.under_load, root=True),
    Campaign("vm-swap", "swaps of a VM lose no packet of 20,000 a second; a check is a packet that came out", machines.swapped, root=True),
    Campaign("manager-kill", "a rollout whose manager is killed at any moment is ended by the next", manager.killed, root=True),
    Campaign("deployments", "programs of random deployments do what the model does", differential.deployments, root=True),
    Campaign("optimise", "random graphs do the same optimised, as written and in the model", optimise.graphs, root=True),
    Campaign("wan-line", "what a WAN optimizer packs comes back whole over a line that loses, doubles and reorders", wan.lines),
    Campaign("guest-frames", "images of unikernels, with sanitizers, survive frames that mean harm; a check is a frame", fuzz.images),
    Campaign("guest-coverage", "the same guided by coverage, and the guest's network; a check is an input", guided.images),
)
