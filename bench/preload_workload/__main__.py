# SPDX-License-Identifier: BSL-1.0
"""Compares allocators below whole programs. Started by bench/preload, which installs and builds what is needed."""

import argparse
import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import statistics
import sys
import tempfile

from comparison import allocators as peers
from comparison import command, measuring
from comparison.machine import OtherWork, in_words, machine, on_one_processor
from comparison.terminal import print_doubts
from preload_workload import programs, runner, tables

DESCRIPTION = """\
Runs programs that allocate much under glibc, glibc with huge pages, mimalloc, jemalloc, tcmalloc, tbbmalloc and
libminiheap_malloc.so, each preloaded, in turn. Prints for each workload the CPU time and the peak of resident memory
as ratios to the best peer, and geometric means. MINIHEAP_PRELOAD_LIBRARY names another library to measure as ours."""


def parse():
    parser = argparse.ArgumentParser(prog="bench/preload", description=DESCRIPTION)
    parser.add_argument("--repeat", type=int, metavar="N", help="how often all is measured (default 5)")
    parser.add_argument("--quick", action="store_true", help="2 repetitions of a fifth of the work: a look, no result")
    parser.add_argument("--only", action="append", metavar="NAME", choices=[w.name for w in programs.WORKLOADS],
                        help="this workload only (several: --only bursts --only ring); --list names them")
    parser.add_argument("--contender", default="", metavar="REGEX", help="only these, e.g. 'miniheap|mimalloc'")
    parser.add_argument("--least", action="store_true",
                        help="the best of the repetitions instead of the median: where the machine is busy otherwise")
    parser.add_argument("--pair", action="store_true", help="instead: nanoseconds of a pair of malloc and free")
    parser.add_argument("--scaling", action="store_true", help="instead: two threads against one, producer/consumer")
    parser.add_argument("--idle", action="store_true", help="instead: memory when all was freed, and of sh -c :")
    parser.add_argument("--levels", action="store_true", help="instead: what the levels of checks cost, without peers")
    parser.add_argument("--list", action="store_true", help="name the workloads")
    parser.add_argument("--csv", type=pathlib.Path, metavar="FILE", help="all samples (build/bench/preload.csv)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="those and all ratios (.../preload.json)")
    parser.add_argument("--build", type=pathlib.Path, default="build/bench", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.repeat = options.repeat or (2 if options.quick else 5)
    if options.repeat < 1:
        parser.error("--repeat must be at least 1")
    options.csv = options.csv or options.build / "preload.csv"
    options.json = options.json or options.build / "preload.json"
    return options


class Session:
    """One call of the command: what is measured, and all that was measured so far."""

    def __init__(self, options, folder):
        self.options = options
        self.place = runner.Place(pathlib.Path(folder), options.build.resolve(), 20 if options.quick else 100)
        if options.levels:
            self.allocators, self.skipped = peers.levels(os.environ["MINIHEAP_LEVELS"]), []
        else:
            self.allocators, self.skipped = peers.choose(peers.PEERS, os.environ.get("MINIHEAP_PRELOAD_LIBRARY"),
                                                         lambda a: re.search(options.contender, a.key))
        self.samples, self.failures, self.results = {}, {}, {}

    def measure(self, workloads, repetitions=None):
        found = []
        for workload in workloads:
            missing = programs.missing_tools(workload)
            if missing:
                self.skipped.append(f"{workload.name}: {', '.join(missing)} cannot be found: not measured")
            else:
                found.append(workload)
        for workload in found:
            workload.prepare(self.place)
        rounds = [[(workload, self.allocators) for workload in found]] * (repetitions or self.options.repeat)
        turns = collections.Counter()

        def sample_of(workload, allocator):
            turns[workload.name, allocator.key] += 1
            with contextlib.nullcontext() if workload.threaded else on_one_processor(turns[workload.name, allocator.key]):
                return workload.run(self.place, allocator)

        samples, failures = measuring.measure(rounds, lambda w, a: f"{w.name} under {a.key}", sample_of)
        self.samples.update(samples)
        self.failures.update(failures)
        return found, samples

    def middle(self, samples, value, best=min):
        """(workload, allocator) -> the median of value(sample), or the best."""
        chosen = best if self.options.least else statistics.median
        return {key: chosen([value(sample) for sample in values]) for key, values in samples.items()}

    def printed(self, samples):
        """(name, allocator) -> the middle of what the programs printed under each name."""
        names = {name for values in samples.values() for sample in values for name in sample.reported}
        return {(name, key): value for name in names
                for (_, key), value in self.middle(samples, lambda sample, name=name: sample.reported[name]).items()}

    def compare(self):
        chosen = [w for w in programs.WORKLOADS if not self.options.only or w.name in self.options.only]
        found, samples = self.measure(chosen)
        all_peers = [a.key for a in self.allocators if a.kind != "ours"] or [peers.OURS]
        timed = [a.key for a in self.allocators if a.kind == "peer"] or all_peers
        cpu = tables.Ratios(self.middle(samples, lambda s: s.cpu), found, self.allocators, timed)
        rss = tables.Ratios(self.middle(samples, lambda s: s.rss_kib / 1024), found, self.allocators, all_peers)
        threaded = [w for w in found if w.threaded]
        wall = tables.Ratios(self.middle(samples, lambda s: s.wall), threaded, self.allocators, timed)
        for workload in found:
            print(f"  {workload.name:<{tables.FIRST}} {workload.title}")
        print()
        cpu.print(f"CPU time (user and system) / best of {', '.join(timed)}", "s", tables.CPU_LIMIT)
        rss.print("Peak of resident memory / best of all peers", "MiB", tables.RSS_LIMIT)
        if threaded:
            wall.print("Time on the clock of those with threads / best, as for CPU time", "s", None)
        self.results = {name: {"ratios": [{"workload": w, "allocator": a, "ratio": r}
                                          for (w, a), r in ratios.by_pair.items()],
                               "geometric_means": ratios.means, "best_peer": ratios.best}
                        for name, ratios in (("cpu", cpu), ("rss", rss), ("wall", wall))}
        if cpu.of_ours() and rss.of_ours():
            met, of = tables.print_verdicts(cpu, rss)
            print(f"{met} of {of} goals met")

    def levels(self):
        found, samples = self.measure([w for w in programs.WORKLOADS
                                       if not self.options.only or w.name in self.options.only])
        cpu = tables.Ratios(self.middle(samples, lambda s: s.cpu), found, self.allocators, ["none"])
        rss = tables.Ratios(self.middle(samples, lambda s: s.rss_kib / 1024), found, self.allocators, ["none"])
        cpu.print("CPU time (user and system) / without checks", "s", None)
        rss.print("Peak of resident memory / without checks", "MiB", None)
        tables.print_level_verdicts(cpu.means, rss.means)
        self.results = {"cpu": cpu.means, "rss": rss.means}

    def pair(self):
        _, samples = self.measure(programs.PAIRS)
        tables.print_pairs(self.printed(samples), self.allocators)

    def scaling(self):
        _, samples = self.measure(programs.SCALING)
        rates = self.middle(samples, lambda sample: sample.reported["operations_per_second"], max)
        tables.print_scaling(rates, self.allocators)

    def idle(self):
        _, samples = self.measure(programs.IDLE)
        _, shells = self.measure(programs.SHELL, 11)
        sizes = {key: kib for (_, key), kib in self.middle(shells, lambda s: s.rss_kib).items()}
        tables.print_idle(self.printed(samples), sizes, self.allocators)

    def write(self):
        rows = [{"workload": w, "allocator": a, "repetition": i, "cpu_seconds": round(s.cpu, 6),
                 **{k: v for k, v in dataclasses.asdict(s).items() if k != "reported"}, **s.reported}
                for (w, a), values in self.samples.items() for i, s in enumerate(values)]
        measuring.write_csv(self.options.csv, rows)
        failures = [{"workload": w, "allocator": a, "why": why} for (w, a), why in self.failures.items()]
        with open(self.options.json, "w") as file:
            json.dump({"machine": machine(), "percent_of_work": self.place.percent,
                       "allocators": {a.key: peers.version(a) for a in self.allocators}, "skipped": self.skipped,
                       "failures": failures, "samples": rows, **self.results}, file, indent=1)
        print(f"all samples in {self.options.csv} and {self.options.json}")


def main():
    options = parse()
    if options.list:
        for workload in programs.WORKLOADS:
            print(f"{workload.name:<{tables.FIRST}} {workload.title}")
        return 0
    with tempfile.TemporaryDirectory(prefix="miniheap-preload-") as folder:
        session = Session(options, folder)
        library = os.environ.get("MINIHEAP_PRELOAD_LIBRARY")
        if not session.allocators or (not options.levels and
                                      peers.lack_ours(session.allocators, library, options.contender)):
            print("nothing to measure", *session.skipped, sep="\n", file=sys.stderr)
            return 1
        print(f"{in_words(machine())}; {options.repeat} repetitions, {session.place.percent} % of the work; "
              + ("the best of them" if options.least else "medians"))
        for a in session.allocators:
            print(f"  {a.key:<{tables.FIRST}} {peers.version(a)}")
        print(flush=True)
        other_work = OtherWork()
        chosen = [m for m in (session.pair, session.scaling, session.idle, session.levels) if getattr(options, m.__name__)]
        for measure in chosen or [session.compare]:
            measure()
        session.results["other_work"] = share = other_work.share()
        print_doubts(share, "ratio", session.skipped,
                     [(f"{workload} under {key}", why) for (workload, key), why in session.failures.items()])
        session.write()
        return 1 if session.failures else 0


if __name__ == "__main__":
    command.run(main)
