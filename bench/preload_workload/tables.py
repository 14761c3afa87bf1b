# SPDX-License-Identifier: BSL-1.0
"""What bench/preload prints: ratios to the best peer, geometric means, and the tables of the smaller questions."""

import statistics

from comparison.allocators import OURS
from comparison.terminal import BOLD, CELL, marked, painted

CPU_GOAL, RSS_GOAL = 0.95, 0.92  # geometric means, at most
CPU_LIMIT, RSS_LIMIT = 1.15, 1.10  # any workload, at most
FIRST = 18


def heading(title, columns, first=""):
    print(painted(title, BOLD))
    print(f"  {first:<{FIRST}}" + "".join(f"{column + ' ':>{CELL}}" for column in columns))


def line(name, cells):
    print(f"  {name:<{FIRST}}" + "".join(cells))


class Ratios:
    """One measure of all workloads and allocators, as ratios to the best of some peers in each workload."""

    def __init__(self, medians, workloads, allocators, rivals):
        self.medians, self.allocators = medians, allocators
        self.rivals = [a.key for a in allocators if a.key in rivals]
        self.best = {}  # by workload name
        for workload in workloads:
            values = [medians[workload.name, key] for key in self.rivals if (workload.name, key) in medians]
            if values:
                self.best[workload.name] = min(values)
        self.by_pair = {(w, a.key): medians[w, a.key] / best for w, best in self.best.items() for a in allocators
                        if (w, a.key) in medians}
        complete = [w for w in self.best if all((w, a.key) in medians for a in allocators)]
        self.compared = len(complete)
        self.means = {a.key: statistics.geometric_mean(self.by_pair[w, a.key] for w in complete)
                      for a in allocators} if complete else {}

    def of_ours(self):
        """Our ratio by workload."""
        return {workload: ratio for (workload, key), ratio in self.by_pair.items() if key == OURS}

    def to_best_mean(self):
        """Our geometric mean over the least one of a rival; None without ours or a rival."""
        rivals = [self.means[key] for key in self.rivals if key in self.means]
        return self.means[OURS] / min(rivals) if OURS in self.means and rivals else None

    def print(self, title, unit, limit):
        heading(title, [f"best, {unit}", *(a.key for a in self.allocators)])
        for workload, best in self.best.items():
            cells = [marked(f"{best:.3f}" if unit == "s" else f"{best:.1f}")]
            for a in self.allocators:
                ratio = self.by_pair.get((workload, a.key))
                judged = limit and a.key == OURS and ratio is not None
                cells.append(marked("failed" if ratio is None else f"{ratio:.2f}", ratio > limit if judged else None))
            line(workload, cells)
        if self.means:
            line("geometric mean", [marked(""), *(marked(f"{self.means[a.key]:.2f}") for a in self.allocators)])
            if self.compared < len(self.best):
                print(f"  (the means are over the {self.compared} workloads that all of them finished)")
        print()


def verdict(text, value, goal):
    shown = f"{value}" if isinstance(value, int) else f"{value:.2f}"
    print(f"  {text:<72}" + marked(shown, value > goal) + f" goal {goal:g}")
    return value <= goal


def print_verdicts(cpu, rss):
    """Ours against the goals; the number of those met and of all."""
    print(painted("miniheap against the goals", BOLD))
    failed = [workload for workload in cpu.best if workload not in cpu.of_ours()]
    met = [verdict("workloads that failed " + ", ".join(failed), len(failed), 0)]
    for what, ratios, goal, limit in (("CPU time", cpu, CPU_GOAL, CPU_LIMIT), ("peak RSS", rss, RSS_GOAL, RSS_LIMIT)):
        mean, ours = ratios.to_best_mean(), ratios.of_ours()
        if mean is not None:
            met.append(verdict(f"{what}: geometric mean, to the least one of a peer", mean, goal))
        worst = max(ours, key=ours.get)
        met.append(verdict(f"{what}: the worst workload ({worst}), to the best peer there", ours[worst], limit))
    beaten = {}  # by workload: the peers that are both faster and smaller
    for workload in cpu.of_ours():
        for a in cpu.allocators:
            pair = workload, a.key
            if a.kind != "ours" and pair in cpu.medians and all(
                    r.medians[pair] < r.medians[workload, OURS] for r in (cpu, rss)):
                beaten.setdefault(workload, []).append(a.key)
    met.append(verdict("workloads in which somebody is both faster and smaller", len(beaten), 0))
    for workload, keys in beaten.items():
        print(f"    {workload:<{FIRST}} {', '.join(keys)}")
    print()
    return sum(met), len(met)


def print_level_verdicts(cpu, rss):
    """Geometric means by level, to that without checks."""
    if len(cpu) != 3:
        return
    print(painted("What the levels cost, against the goals", BOLD))
    verdict("CPU time: basic, to none", cpu["basic"], 1.03)
    verdict("CPU time: hardened, to basic", cpu["hardened"] / cpu["basic"], 1.30)
    verdict("peak RSS: hardened, to basic", rss["hardened"] / rss["basic"], 1.25)
    print()


def print_pairs(values, allocators):
    """values: (name reported, allocator) -> nanoseconds."""
    sizes = ("pair_16", "pair_32", "pair_64")
    heading("malloc and free of one object, ns for the pair; our goal is 0.75 of mimalloc",
            ["16 bytes", "32 bytes", "64 bytes", "/ mimalloc", "", ""])
    for a in allocators:
        times = [values.get((size, a.key)) for size in sizes]
        cells = [marked("failed" if t is None else f"{t:.2f}") for t in times]
        for size, t in zip(sizes, times):
            peer = values.get((size, "mimalloc"))
            if t is not None and peer:
                cells.append(marked(f"{t / peer:.2f}", t / peer > 0.75 if a.key == OURS else None))
        line(a.key, cells)
    print()


def print_scaling(rates, allocators):
    """rates: (workload, allocator) -> operations a second."""
    heading("Threads; millions of objects a second, and our goals: 1.9 times the work, no less than mimalloc",
            ["1 thread", "2 threads", "ratio", "one by one", "/ mimalloc", "in batches", "/ mimalloc"])
    for a in allocators:
        ours = a.key == OURS
        one, two = (rates.get((name, a.key)) for name in ("churn_1", "churn_2"))
        cells = [marked("failed" if rate is None else f"{rate / 1e6:.1f}") for rate in (one, two)]
        ratio = two / one if one and two else None
        cells.append(marked("-") if ratio is None else marked(f"{ratio:.2f}", ratio < 1.9 if ours else None))
        for name in ("producer_single", "producer_batch"):
            rate, peer = rates.get((name, a.key)), rates.get((name, "mimalloc"))
            cells.append(marked("failed" if rate is None else f"{rate / 1e6:.1f}"))
            ratio = rate / peer if rate and peer else None
            cells.append(marked("-") if ratio is None else marked(f"{ratio:.2f}", ratio < 1 if ours else None))
        line(a.key, cells)
    print()


def print_idle(values, shell_kib, allocators):
    """values: (name reported, allocator) -> MiB; shell_kib: allocator -> peak of `sh -c :`."""
    heading("After a threaded load, all freed, threads idle: resident memory over the peak (our goal: 1 %);"
            " and sh -c : (250 KiB)", ["peak, MiB", "at once, %", "1 s later,%", "sh, KiB", "over glibc"])
    for a in allocators:
        peak = values.get(("peak_mib", a.key))
        cells = [marked("failed" if peak is None else f"{peak:.0f}")]
        for name in ("at_once_mib", "after_a_second_mib"):
            share = None if peak is None else 100 * values[name, a.key] / peak
            cells.append(marked("-") if share is None else marked(f"{share:.1f}", share > 1 if a.key == OURS else None))
        shell, plain = shell_kib.get(a.key), shell_kib.get("glibc")
        cells.append(marked("failed" if shell is None else f"{shell:.0f}"))
        over = shell - plain if shell is not None and plain is not None else None
        cells.append(marked("-") if over is None else marked(f"{over:.0f}", over > 250 if a.key == OURS else None))
        line(a.key, cells)
    print()
