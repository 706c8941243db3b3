"""How long a table that no machine holds takes on a cluster: simulated step by step from the measured rates of a node.

The steps are those of `cumulant.measure.cluster`: every partition is read twice, and moments are added eight at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cumulant.measure.cluster import FAN_IN

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, NODES = 10**12, (1, 10, 100, 1000)
PASSES = 2


@dataclass(frozen=True)
class Rates:
    """What one core does, as measured.

    Parameters
    ----------
    rows
        Rows that it decodes and sums in a second.
    row_bytes
        Bytes of a row in its file.
    moments_bytes
        Bytes of a partition's moments as they are sent.
    merge
        Seconds to add two of them.
    """

    rows: float
    row_bytes: float
    moments_bytes: int
    merge: float


@dataclass(frozen=True)
class Cluster:
    """What is assumed of the machines: cores, and bytes a second of each node from storage and over the network.

    ``partition`` is the bytes of file that a task reads, ``task`` the seconds in which a scheduler hands one out.
    """

    nodes: int
    cores: int = 16
    storage: float = 1.25e9
    network: float = 1.25e9
    partition: float = 1e9
    task: float = 1e-3


@dataclass(frozen=True)
class Plan:
    """What the pass takes: bytes of file, partitions, merged bytes and levels of the tree, seconds of each step."""

    file_bytes: float
    partitions: int
    depth: int
    merged_bytes: int
    decoding: float
    transfer: float
    scheduling: float
    merging: float

    @property
    def reading(self) -> float:
        """Seconds until all partitions are read: decoding and transfer go on side by side."""
        return max(self.decoding, self.transfer)

    @property
    def bound(self) -> str:
        """What the reading waits for."""
        slowest = max(self.reading, self.scheduling)
        if slowest == self.scheduling:
            return "scheduler"
        return "cores" if slowest == self.decoding else "storage"

    @property
    def seconds(self) -> float:
        """All of it: tasks are handed out while others run, and merged when the last one has ended."""
        return max(self.reading, self.scheduling) + self.merging


def plan(rows: float, cluster: Cluster, rates: Rates) -> Plan:
    """The steps of a pass over ``rows`` rows, in waves of as many tasks as there are cores."""
    file_bytes = rows * rates.row_bytes
    partitions = math.ceil(file_bytes / cluster.partition)
    cores = cluster.nodes * cluster.cores
    depth, merged, merging, tasks, left = 0, 0, 0.0, PASSES * partitions, partitions
    while left > 1:
        sent, left = left, math.ceil(left / FAN_IN)
        arriving = FAN_IN * math.ceil(left / cluster.nodes) * rates.moments_bytes / cluster.network
        merging += arriving + math.ceil(left / cores) * (FAN_IN - 1) * rates.merge
        merged += sent * rates.moments_bytes
        depth, tasks = depth + 1, tasks + left
    return Plan(
        file_bytes=file_bytes,
        partitions=partitions,
        depth=depth,
        merged_bytes=merged,
        decoding=PASSES * math.ceil(partitions / cores) * rows / partitions / rates.rows,
        transfer=PASSES * file_bytes / (cluster.nodes * cluster.storage),
        scheduling=tasks * cluster.task,
        merging=merging,
    )


def rates(node: dict[str, Any], cores: int) -> Rates:
    """The rates of a core, of a node that was measured with all of its cores at work."""
    return Rates(
        rows=node["rows"] / node["seconds"]["parquet"]["median"] / cores,
        row_bytes=node["file_bytes"] / node["rows"],
        moments_bytes=node["moments_bytes"],
        merge=node["seconds"]["merge"]["median"],
    )


def block(record: dict[str, Any], table: Callable[..., str], where: str) -> list[str]:
    """The rates, and the plans made from them."""
    cores = record["machine"]["cores"]
    measured = {node["columns"]: rates(node, cores) for node in record["node"]}
    head = ["", "rows a second and core", "bytes of file a row", "bytes of moments", "adding two"]
    cells = [
        [f"{p} columns", f"{one.rows / 1e6:.2g} million", f"{one.row_bytes:.1f}", f"{one.moments_bytes:,}",
         f"{1e3 * one.merge:.2g} ms"]
        for p, one in measured.items()
    ]  # fmt: skip
    parts = ["### Measured on one node", "Parquet in the page cache, ten folds.", where, table(head, cells)]
    for p, one in measured.items():
        parts += _planned(p, {nodes: plan(ROWS, Cluster(nodes), one) for nodes in NODES}, table)
    return parts


def _planned(columns: int, plans: dict[int, Plan], table: Callable[..., str]) -> list[str]:
    """The plans of one table, by number of nodes."""
    first = plans[NODES[0]]
    moved = (
        f"{first.file_bytes / 1e12:,.0f} TB of Parquet in {first.partitions:,} partitions; a tree of {first.depth} "
        f"levels, in which {first.merged_bytes / 1e9:,.1f} GB of moments move."
    )
    head = ["nodes", "cores", "reading twice", "scheduling", "merging", "in all", "bound by"]
    rows = [
        [f"{nodes:,}", f"{nodes * Cluster(nodes).cores:,}", _time(made.reading), _time(made.scheduling),
         _time(made.merging), _time(made.seconds), made.bound]
        for nodes, made in plans.items()
    ]  # fmt: skip
    return [f"### 10¹² rows of {columns} columns", moved, table(head, rows)]


def _time(seconds: float) -> str:
    """In the unit that suits it, to two digits or to whole ones."""
    units = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
    size, unit = next((one for one in units if seconds >= 2 * one[0]), (1.0, "s"))
    return f"{seconds / size:.2g} {unit}" if seconds / size < 10 else f"{seconds / size:,.0f} {unit}"
