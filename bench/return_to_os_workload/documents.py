# SPDX-License-Identifier: BSL-1.0
"""Charts, and the measured part of docs/return-to-os.md."""

import json
import pathlib
import re
import subprocess
import sys

from comparison.allocators import OURS
from comparison.machine import TOO_MUCH_OTHER_WORK
from return_to_os_workload import scenarios, tables

PAGE = pathlib.Path("docs/return-to-os.md")
PICTURES = pathlib.Path("docs/return-to-os")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def painter():
    """A Python that has matplotlib: Debian's package serves Debian's Python only."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            if subprocess.run([python, "-c", "import matplotlib"], capture_output=True).returncode == 0:
                return python
        except OSError:
            pass
    return None


def draw(results_file, folder):
    """Names of the charts that were drawn into the folder; None where there is no matplotlib."""
    python = painter()
    if python is None:
        return None
    done = subprocess.run([python, pathlib.Path(__file__).with_name("charts.py"), results_file, folder],
                          capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        return []
    return done.stdout.split()


def tables_of(mode, stored, asked=()):
    """The tables of stored results: held over live, and CPU time."""
    results, keys = stored["results"], list(stored["contenders"])
    played = [scenario for scenario in scenarios.BY_MODE[mode] if scenario.name in results]
    if mode == "policies":
        return (tables.Table("Held, as the arena counts it, over live requested bytes", played, results, keys),
                tables.CpuTable("CPU time over that of the default policies", played, results, keys, "fullest_first"))
    held = tables.Table("Held over live requested bytes", played, results, keys, asked)
    if mode == "arenas":
        return held, tables.CpuTable("CPU time over that of the pool", played, results, keys, "pmr_pool")
    return held, tables.CpuTable("CPU time over glibc's", played, results, keys, "glibc")


def lost(table):
    """A line for each number of ours that a peer beats, or that is above what must be reached."""
    scenario = ""
    for title, point, values, best, at_least, _ in table.lines():
        scenario = title or scenario
        ours = values.get(OURS)
        beaten = ours is not None and best is not None and ours > best * 1.02
        missed = ours is not None and at_least is not None and ours > at_least
        if beaten or missed:
            who = tables.Table.heading(next(key for key in table.rivals if values.get(key) == best)) if beaten else ""
            yield (f"| {scenario} | {point} | {tables.number(ours)} | "
                   + (f"{tables.number(best)} ({who})" if beaten else "") + " | "
                   + (tables.number(at_least) if missed else "") + " |")


def lost_time(table):
    for title, _, values, _, at_least, _ in table.lines():
        if values.get(OURS, 0) > at_least:
            yield f"| {title} | CPU time over glibc's | {tables.number(values[OURS])} | | {tables.number(at_least)} |"


def disturbance(stored):
    worst = max(part["other_work"] for part in stored.values())
    if worst > TOO_MUCH_OTHER_WORK:
        yield from ["", f"**Other work took up to {worst:.0%} of the processors meanwhile, so the CPU times on this page "
                    "are no results.**"]


def pictures(names):
    for name in names:
        what = pathlib.Path(name).stem.removeprefix("arenas_").replace("_", " ")
        yield f"![{what}: bytes held over the steps of the scenario]({PICTURES.name}/{name})"
        yield ""


def measured(stored, drawn):
    """The lines between the two markers. `stored` and `drawn`: by mode."""
    machine = stored["malloc"]["machine"]
    yield ""
    kernel = re.match(r"[\d.]*\d", machine["kernel"])[0]
    yield (f"{machine['processors']} processors, Linux {kernel}, huge pages: "
           f"{machine['transparent_huge_pages']}; medians of {stored['malloc']['repetitions']}. Peers: "
           + "; ".join(f"{key.replace('_', ' ')} ({version})" for key, version in stored["malloc"]["contenders"].items()
                       if key != OURS) + ".")
    asked = [key for key in stored["malloc"]["contenders"] if key.endswith("_trim")]
    held, cpu = tables_of("malloc", stored["malloc"], asked)
    yield from disturbance(stored)
    yield from ["", "### Held over live", "", *held.markdown()]
    yield from ["", "### CPU time over glibc's", "", *cpu.markdown()]
    losses = [*lost(held), *lost_time(cpu)]
    yield from ["", "### Cases that are lost", "",
                "To a peer that does it unasked, by more than 2 %, or to what must be reached.", ""]
    yield from ["| scenario | point | miniheap | best peer | at least |", "|---|---|---:|---:|---:|",
                *losses] if losses else ["None."]
    yield from ["", "### Over time", "", *pictures(drawn["malloc"])]
    if "arenas" in stored:
        held, cpu = tables_of("arenas", stored["arenas"])
        yield from ["### Arenas in the program", "", f"{held.title}:", "", *held.markdown(), "",
                    f"{cpu.title}:", "", *cpu.markdown(), "", *pictures(drawn["arenas"])]
    if "policies" in stored:
        held, cpu = tables_of("policies", stored["policies"])
        yield from ["### Which policy does what", "",
                    f"{held.title}; medians of {stored['policies']['repetitions']}:", "", *held.markdown(), "",
                    f"{cpu.title}:", "", *cpu.markdown(), "", *pictures(drawn["policies"])]


def not_for_print(part):
    """What stands against showing these results to others; empty if nothing does."""
    if part["percent"] != 100:
        return "what --quick measured"
    if len(part["played"]) < len(scenarios.BY_MODE[part["mode"]]) or part["failures"]:
        return "some of the scenarios only"
    if part["mode"] == "malloc" and not {OURS, "glibc"} <= set(part["contenders"]):
        return "some of the contenders only"
    return ""


def write_page(stored_files):
    """`stored_files`: mode -> JSON of the last measurement. Draws the charts into docs/ and replaces the measured part."""
    stored, drawn = {}, {}
    for mode, file in stored_files.items():
        stored[mode] = json.loads(file.read_text())
        if why := not_for_print(stored[mode]):
            sys.exit(f"{PAGE} was not written: {file} has {why}")
    for mode, file in stored_files.items():
        drawn[mode] = draw(file, PICTURES)
        if drawn[mode] is None:
            print("no matplotlib: the page shows the charts that were there before", file=sys.stderr)
            drawn[mode] = sorted(p.name for p in PICTURES.glob("*.svg") if mode_of(p.stem) == mode)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        sys.exit(f"{PAGE} has not the lines {BEGIN} and {END}")
    PAGE.write_text(before + BEGIN + "\n" + "\n".join(measured(stored, drawn)).rstrip() + "\n\n" + END + after)
    print(f"written: {PAGE}, " + ", ".join(str(PICTURES / name) for names in drawn.values() for name in names))


def mode_of(stem):
    return "policies" if stem == "policies" else "arenas" if stem.startswith("arenas_") else "malloc"
