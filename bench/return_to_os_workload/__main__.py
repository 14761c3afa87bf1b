# SPDX-License-Identifier: BSL-1.0
"""Measures what goes back to the system. Started by bench/return_to_os, which installs and builds what is needed."""

import argparse
import json
import os
import pathlib
import sys

from comparison import allocators, command
from comparison.allocators import OURS
from comparison.machine import OtherWork, in_words, machine
from comparison.terminal import GREEN, RED, YELLOW, painted, print_doubts
from return_to_os_workload import contenders, documents, measure, scenarios

DESCRIPTION = """\
Plays programs that need much memory and then little, under glibc, glibc with malloc_trim, jemalloc, mimalloc, tcmalloc,
tbbmalloc, scudo and libminiheap_malloc.so, and prints what each of them holds over what is live, and its CPU time.
MINIHEAP_PRELOAD_LIBRARY names another library to measure as ours."""
NAMES = list(dict.fromkeys(s.name for played in scenarios.BY_MODE.values() for s in played))


def parse():
    parser = argparse.ArgumentParser(prog="bench/return_to_os", description=DESCRIPTION)
    parser.add_argument("--repeat", type=int, metavar="N", help="how often all is measured (default 5; policies 3)")
    parser.add_argument("--quick", action="store_true", help="once, a quarter of the amounts: a look, no result")
    parser.add_argument("--only", action="append", metavar="NAME", choices=NAMES,
                        help="this scenario only (several: --only browser --only saw); --list names them")
    parser.add_argument("--contender", default="", metavar="REGEX", help="only these, e.g. 'miniheap|glibc'")
    parser.add_argument("--arenas", action="store_true", help="instead: arenas and a std::pmr pool in the program")
    parser.add_argument("--policies", action="store_true", help="instead: selection and fit policies, one by one")
    parser.add_argument("--docs", action="store_true", help="all three, and write docs/return-to-os.md and its charts")
    parser.add_argument("--reuse", action="store_true", help="measure nothing: tables and charts of the last time")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    parser.add_argument("--output", type=pathlib.Path, metavar="FOLDER", default="build/return_to_os",
                        help="for samples (CSV), medians (JSON) and charts (default build/return_to_os)")
    parser.add_argument("--build", type=pathlib.Path, default="build/bench", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.repeat is not None and options.repeat < 1:
        parser.error("--repeat must be at least 1")
    if options.docs and (options.quick or options.only or options.contender):
        parser.error("--docs takes full results only: no --quick, --only, --contender")
    if options.docs and not options.reuse and not os.environ.get("MINIHEAP_PRELOAD_LIBRARY"):
        parser.error("--docs needs our library: see MINIHEAP_PRELOAD_LIBRARY")
    return options


def modes(options):
    if options.docs:
        return list(scenarios.BY_MODE)
    return [mode for mode in ("arenas", "policies") if getattr(options, mode)] or ["malloc"]


def take(mode, options):
    """Measures one mode and stores what was measured. Whether all went well; None if nothing was measured."""
    wanted = options.only or [s.name for s in scenarios.BY_MODE[mode] if not (s.once and options.quick)]
    played = [s for s in scenarios.BY_MODE[mode] if s.name in wanted]
    if mode == "malloc":
        library = os.environ.get("MINIHEAP_PRELOAD_LIBRARY")
        chosen, skipped = contenders.of_malloc(library, options.contender)
        if allocators.lack_ours(chosen, library, options.contender):
            print(*skipped, sep="\n", file=sys.stderr)
            return None
    else:
        chosen, skipped = contenders.in_program(mode, options.contender)
    if not chosen or not played:
        print(f"{mode}: nothing to measure", *skipped, sep="\n", file=sys.stderr)
        return None
    repetitions = options.repeat or (1 if options.quick else 3 if mode == "policies" else 5)
    percent = 25 if options.quick else 100
    measure_of = "counted" if mode == "policies" else "held"
    other_work = OtherWork()
    plays, failures = measure.measure(played, chosen, options.build.resolve(), percent, repetitions,
                                      own_bytes(options.build.resolve()))
    options.output.mkdir(parents=True, exist_ok=True)
    measure.write_samples(options.output / f"{mode}.csv", plays)
    stored = {
        "mode": mode, "machine": machine(), "repetitions": repetitions, "percent": percent,
        "contenders": {c.key: c.version for c in chosen}, "asked": [c.key for c in chosen if c.is_asked],
        "skipped": skipped, "other_work": other_work.share(),
        "failures": [{"scenario": s, "contender": c, "why": why} for (s, c), why in failures.items()],
        "played": [{"name": s.name, "title": s.title, "picture": s.picture, "points": [p.name for p in s.points]}
                   for s in played],
        "results": measure.summary(plays, measure_of),
    }
    (options.output / f"{mode}.json").write_text(json.dumps(stored, indent=1))
    return not failures


def own_bytes(build):
    """What the program holds before it calls malloc: its data, its stack, its libraries'. glibc, as it comes."""
    plain = contenders.Contender("glibc", "return_to_os")
    return min(measure.play(plain, build, "nothing", 100)[0]["held"] for _ in range(5))


def show(mode, options):
    file = options.output / f"{mode}.json"
    if not file.exists():
        print(f"{file} is not there: measure without --reuse first", file=sys.stderr)
        return False
    stored = json.loads(file.read_text())
    print(f"{mode}: {in_words(stored['machine'])}; {stored['repetitions']} repetitions, {stored['percent']} % of the amounts; medians")
    for key, version in stored["contenders"].items():
        print(f"  {key:<22} {version}")
    print()
    for table in documents.tables_of(mode, stored, stored["asked"]):
        table.print()
    if mode == "malloc" and OURS in stored["contenders"]:
        print(f"  {painted('!', RED)} above what must be reached, {painted('+', GREEN)} the goal is reached\n")
    print_doubts(stored["other_work"], "CPU time", stored["skipped"],
                 [(f"{failed['scenario']} with {failed['contender']}", failed["why"]) for failed in stored["failures"]])
    if not options.docs:
        drawn = documents.draw(file, options.output)
        if drawn is None:
            print(painted("skipped", YELLOW) + " charts: there is no matplotlib (package python3-matplotlib)")
        elif drawn:
            print("charts: " + ", ".join(str(options.output / name) for name in drawn))
    print(f"samples in {options.output / mode}.csv, medians in {file}\n")
    return True


def main():
    options = parse()
    if options.list:
        for mode, played in scenarios.BY_MODE.items():
            print(mode, *(f"  {s.name:<18} {s.title}" for s in played), sep="\n")
        return 0
    good = True
    for mode in modes(options):
        went_well = options.reuse or take(mode, options)
        good = went_well is not None and show(mode, options) and went_well and good
    if options.docs and not good:
        print(f"{documents.PAGE} was not written: something failed", file=sys.stderr)
    elif options.docs:
        documents.write_page({mode: options.output / f"{mode}.json" for mode in scenarios.BY_MODE})
    return 0 if good else 1


if __name__ == "__main__":
    command.run(main)
