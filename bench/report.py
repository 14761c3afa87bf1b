# SPDX-License-Identifier: BSL-1.0
"""Runs the benchmark programs and prints what they measured. Started by bench/run, which builds them.

Each measurement is a process of its own: no contender inherits the free memory or the warm caches of another. Within
a workload the contenders take turns in random order, and the whole is repeated; what is printed is the median over
the repetitions, of CPU time, divided by the number of operations. Ratios are between medians of the same run.
"""

import argparse
import csv
import dataclasses
import json
import pathlib
import re
import statistics
import subprocess
import sys

from comparison import command
from comparison.machine import on_one_processor
from comparison.measuring import in_turns
from comparison.terminal import BOLD, cell, marked, painted


@dataclasses.dataclass(frozen=True)
class Contender:
    program: str
    identity: str
    title: str
    kind: str  # ours, general, pool (never gives back), other (shown, in no ratio), floor

    @property
    def key(self):
        return f"{self.program}.{self.identity}"


CONTENDERS = [
    Contender("miniheap", "miniheap_no_lock", "miniheap, no lock", "ours"),
    Contender("miniheap", "miniheap_static", "miniheap, no lock, stateless allocator", "ours"),
    Contender("miniheap", "miniheap_unchecked", "miniheap, no lock, no checks", "ours"),
    Contender("miniheap", "miniheap_default", "miniheap, default (one lock)", "ours"),
    Contender("standard", "std_allocator", "std::allocator, glibc", "general"),
    Contender("mimalloc", "std_allocator", "std::allocator, mimalloc", "general"),
    Contender("mimalloc", "mimalloc", "mi_stl_allocator", "general"),
    Contender("mimalloc", "mimalloc_heap", "mi_heap_stl_allocator", "general"),
    Contender("standard", "pmr_pool", "pmr::unsynchronized_pool_resource", "general"),
    Contender("boost", "boost_fast_pool", "boost::fast_pool_allocator, null mutex", "pool"),
    Contender("foonathan", "foonathan_pool", "foonathan::memory_pool", "pool"),
    Contender("boost", "boost_node_allocator", "boost::container::node_allocator", "other"),
    Contender("boost", "boost_adaptive_pool", "boost::container::adaptive_pool", "other"),
    Contender("jemalloc", "std_allocator", "std::allocator, jemalloc", "other"),
    Contender("tcmalloc_minimal", "std_allocator", "std::allocator, tcmalloc", "other"),
    Contender("standard", "pmr_monotonic", "pmr::monotonic_buffer_resource (floor)", "floor"),
]
KINDS = {
    "general": "general-purpose",
    "pool": "never gives back",
    "other": "others",
    "floor": "frees nothing",
}
OURS = ["miniheap.miniheap_no_lock", "miniheap.miniheap_default"]


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    title: str
    unit: str
    general: float | None  # targets: at most so much of the best peer of that kind
    pool: float | None


WORKLOADS = [
    Workload("raw_pair", "one object allocated, the same freed; nothing else live", "bytes", 0.60, 1.1),
    Workload("raw_burst", "1000 objects allocated, then freed in the same order", "bytes", 1.0, 1.1),
    Workload("raw_random", "100,000 objects live, a random one replaced", "bytes", 1.0, 0.7),
    Workload("raw_shuffled", "100,000 objects allocated, then freed in random order", "bytes", 1.0, 0.7),
    Workload("list_fifo", "std::list filled at the end, emptied from the front", "nodes", 0.85, 1.1),
    Workload("list_lifo", "std::list filled at the end, emptied from the end", "nodes", 0.85, 1.1),
    Workload("list_random", "std::list filled at the end, emptied in random order", "nodes", None, 0.7),
    Workload("map_churn", "std::map of constant size, a random entry replaced", "entries", 0.85, None),
    Workload("unordered_map", "std::unordered_map built and destroyed", "entries", 0.85, None),
    Workload("strings", "vector of strings of 24 to 151 characters built and destroyed", "strings", 0.85, None),
]

def listed(path):
    """The benchmarks of a program: (workload, column, contender)."""
    lines = subprocess.run([path, "--benchmark_list_tests"], check=True, capture_output=True, text=True).stdout.split()
    return [tuple(re.fullmatch(r"(\w+)/(\d+):(\w+)", line).groups()) for line in lines]


def measure(path, name, seconds):
    """Nanoseconds of CPU time for each operation."""
    command = [path, f"--benchmark_filter=^{name}$", f"--benchmark_min_time={seconds}", "--benchmark_format=json"]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    (benchmark,) = result["benchmarks"]
    return 1e9 / benchmark["items_per_second"]


def name_of(workload_and_column, contender):
    """As the program lists it."""
    return "{}/{}:{}".format(*workload_and_column, contender.identity)


def measure_all(build, options):
    plan = []  # (workload, column, contender)
    for contender in CONTENDERS:
        path = build / "bench" / f"bench_{contender.program}"
        if path.exists() and re.search(options.contender, contender.key):
            for workload, column, identity in listed(path):
                if identity == contender.identity and re.search(options.filter, f"{workload}/{column}"):
                    plan.append((workload, int(column), contender))
        elif not path.exists() and contender.kind != "other":
            print(f"report.py: {contender.title} is missing: {path.name} was not built", file=sys.stderr)
    turns = [(of, [contender for *other, contender in plan if tuple(other) == of])
             for of in sorted({(workload, column) for workload, column, _ in plan})]
    samples = {}
    for (workload, column), contender in in_turns([turns] * options.repetitions, name_of):
        path = build / "bench" / f"bench_{contender.program}"
        found = samples.setdefault((workload, column, contender.key), [])
        with on_one_processor(len(found)):
            found.append(measure(path, name_of((workload, column), contender), options.seconds))
    return samples


def print_workload(workload, medians):
    columns = sorted({column for name, column, _ in medians if name == workload.name})
    if not columns:
        return []
    print(painted(f"{workload.name}: {workload.title}", BOLD) + "; ns per operation")
    print(f"  {'':<56}" + "".join(cell(f"{column:,} {workload.unit}", width=17) for column in columns))

    kind = "ours"
    for contender in CONTENDERS:
        values = [medians.get((workload.name, column, contender.key)) for column in columns]
        if any(v is not None for v in values) or contender.kind not in ("other", "ours"):
            note = KINDS[contender.kind] if contender.kind != kind else ""
            kind = contender.kind
            print(f"  {contender.title:<40}{note:<16}"
                  + "".join(cell("-" if v is None else f"{v:.1f}", width=17) for v in values))

    rows = []
    for kind, target in (("general", workload.general), ("pool", workload.pool)):
        for ours in OURS:
            ratios = []
            for column in columns:
                mine = medians.get((workload.name, column, ours))
                peers = [medians[key] for c in CONTENDERS if c.kind == kind
                         and (key := (workload.name, column, c.key)) in medians]
                ratio = mine / min(peers) if mine and peers else None
                ratios.append(ratio)
                rows.append((workload.name, column, ours, kind, ratio, target))
            if any(r is not None for r in ratios):
                who = "no lock" if ours == OURS[0] else "default"
                goal = f"target {target:.2f}" if target else ""
                text = f"{who} / best {KINDS[kind] if kind == 'general' else 'that ' + KINDS[kind]}"
                print(f"  {text:<40}{goal:<16}" + "".join(ratio_cell(r, target) for r in ratios))
    print()
    return rows


def ratio_cell(ratio, target):
    if ratio is None:
        return cell("-", width=17)
    return marked(f"{ratio:.2f}", ratio > target if target else None, 18)


def print_program(path):
    """A program that prints lines of tab-separated fields: what, value, unit, target (at most; may be empty)."""
    if not path.exists():
        print(f"report.py: {path.name} was not built", file=sys.stderr)
        return []
    print(f"running {path.name}", file=sys.stderr)
    rows = []
    for line in subprocess.run([path], check=True, capture_output=True, text=True).stdout.splitlines():
        if "\t" not in line:
            print(painted(line, BOLD))
            continue
        what, value, unit, target = line.split("\t")
        shown = marked(f"{float(value):,.2f}", float(value) > float(target) if target else None, 13)
        goal = f"target {float(target):g}" if target else ""
        print(f"  {what:<70}{shown} {unit:<10} {goal}")
        rows.append((path.name, what, float(value), unit, target))
    print()
    return rows


def print_compile_time():
    """A script of its own, whose table is passed on."""
    script = pathlib.Path(__file__).parent / "compile_time"
    if script.is_file():
        print("running compile_time", file=sys.stderr)
        print(subprocess.run([script], capture_output=True, text=True).stdout)


def write_results(build, samples, ratios, programs):
    with open(build / "results.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["workload", "column", "contender", "median_ns", "min_ns", "samples"])
        for (workload, column, contender), values in sorted(samples.items()):
            out.writerow([workload, column, contender, f"{statistics.median(values):.3f}", f"{min(values):.3f}",
                          len(values)])
    with open(build / "results.json", "w") as file:
        json.dump({
            "samples_ns": [{"workload": w, "column": c, "contender": k, "ns": v} for (w, c, k), v in samples.items()],
            "ratios": [dict(zip(("workload", "column", "ours", "peers", "ratio", "target"), row)) for row in ratios],
            "programs": [dict(zip(("program", "what", "value", "unit", "target"), row)) for row in programs],
        }, file, indent=1)


def main():
    parser = argparse.ArgumentParser(prog="bench/run", description="Measures the arena beside other allocators.")
    parser.add_argument("--repetitions", type=int, default=5, help="how often all is measured (default 5)")
    parser.add_argument("--seconds", type=float, default=0.1, help="least time of one measurement (default 0.1)")
    parser.add_argument("--filter", default="", help="only workloads that match, e.g. '^raw_pair/16'")
    parser.add_argument("--contender", default="", help="only contenders that match, e.g. 'miniheap|mimalloc'")
    parser.add_argument("--quick", action="store_true", help="2 repetitions of 0.02 seconds: a look, not a result")
    parser.add_argument("--least", action="store_true",
                        help="the least of the repetitions instead of the median: where the machine is busy otherwise")
    parser.add_argument("--only", choices=["workloads", "programs"], help="one half of it")
    parser.add_argument("--build", type=pathlib.Path, default="build/bench", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.repetitions, options.seconds = 2, 0.02

    samples, ratios, programs = {}, [], []
    if options.only != "programs":
        samples = measure_all(options.build, options)
        middle = min if options.least else statistics.median
        medians = {key: middle(values) for key, values in samples.items()}
        for workload in WORKLOADS:
            ratios += print_workload(workload, medians)
    if options.only != "workloads" and not options.filter:
        for program in ("selection", "overhead"):
            programs += print_program(options.build / "bench" / f"bench_{program}")
        print_compile_time()
    write_results(options.build, samples, ratios, programs)

    judged = [(ratio, target) for *_, ours, _, ratio, target in ratios if ours == OURS[0] and ratio and target]
    judged += [(value, float(target)) for *_, value, _, target in programs if target]
    missed = sum(value > target for value, target in judged)
    print(f"{len(judged) - missed} of {len(judged)} targets met (no lock), {missed} missed (marked !); "
          f"all samples in {options.build}/results.csv and results.json")


if __name__ == "__main__":
    command.run(main)
