# SPDX-License-Identifier: BSL-1.0
"""Draws the charts: charts RESULTS.json FOLDER. The same results make the same files. Needs matplotlib."""

import io
import json
import math
import pathlib
import re
import sys

COLOURS = {  # in the order of the legend
    "live": "#dddddd",
    "miniheap": "#d62728", "glibc": "#1f77b4", "glibc_trim": "#7fb8e6", "jemalloc": "#2ca02c", "mimalloc": "#9467bd",
    "tcmalloc": "#8c564b", "tbbmalloc": "#e377c2", "scudo": "#bcbd22",
    "arena": "#d62728", "arena_no_lock": "#ff9896", "pmr_pool": "#1f77b4",
    "fullest_first": "#d62728", "lowest_address_first": "#1f77b4", "newest_first": "#2ca02c",
    "emptiest_first": "#7f7f7f", "best_fit": "#1f77b4", "good_fit": "#2ca02c", "next_fit": "#9467bd",
}
# Policies that end on one line are seen all the same.
DASHES = {"lowest_address_first": (4, 2), "newest_first": (1, 2), "best_fit": (4, 2), "good_fit": (1, 2),
          "next_fit": (6, 1, 1, 1), "arena_no_lock": (4, 2)}
MIB = 1 << 20
SELECTIONS = ["fullest_first", "lowest_address_first", "newest_first", "emptiest_first"]
FITS = ["fullest_first", "best_fit", "good_fit", "next_fit"]


def title_of(key):
    return key.replace("_", " ")


def corners(values, tolerance):
    """The places in a list that a line through them needs, so that it misses no value by more than the tolerance."""
    kept, waiting = {0, len(values) - 1}, [(0, len(values) - 1)]
    while waiting:
        first, last = waiting.pop()
        slope = (values[last] - values[first]) / max(1, last - first)
        missed = [abs(values[i] - values[first] - slope * (i - first)) for i in range(first, last)]
        if missed and max(missed) > tolerance:
            middle = missed.index(max(missed)) + first
            kept.add(middle)
            waiting += [(first, middle), (middle, last)]
    return sorted(kept)


def draw_one(axes, found, title, keys, points):
    """One scenario: what is live as an area, what is held as a line for each contender."""
    first = found[keys[0]]
    live = [value / MIB for value in first["live"]]
    axes.fill_between(range(len(live)), live, color=COLOURS["live"], linewidth=0, label="live")
    tolerance = max(max(found[key]["curve"]) for key in keys) / 500
    for key in sorted(keys, key=lambda key: key in ("miniheap", "arena", "fullest_first")):
        curve = found[key]["curve"]
        places = corners(curve, tolerance)
        axes.plot(places, [curve[i] / MIB for i in places], color=COLOURS[key],
                  linewidth=2 if key in ("miniheap", "arena", "fullest_first") else 1.1,
                  dashes=DASHES.get(key, (None, None)), label=title_of(key))
    marks = {name: first["marks"][name] for name in points if name in first["marks"]}
    for place in marks.values():
        axes.axvline(place, color="#999999", linewidth=0.6, linestyle=":")
    axes.set_xticks(list(marks.values()), list(marks), fontsize=8, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_title(title, fontsize=9)
    axes.set_xlim(0, len(live) - 1)
    axes.set_ylim(bottom=0)
    axes.tick_params(axis="y", labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def panels(mode, played):
    """Picture name -> [(scenario, title, keys or None)]."""
    pictures = {}
    for scenario in played:
        pictures.setdefault(scenario["picture"], []).append(scenario)
    result = {}
    for name, several in pictures.items():
        if mode == "policies":
            if name == "policies":
                result[name] = [(s, f"selection: {s['title']}", SELECTIONS) for s in several]
                result[name] += [(s, f"fit: {s['title']}", FITS) for s in several]
        else:
            prefix = "arenas_" if mode == "arenas" else ""
            result[prefix + name] = [(s, s["title"], None) for s in several]
    return result


def draw(pyplot, path, drawn, results):
    drawn = [(scenario, title, [key for key in keys or results[scenario["name"]] if key in results[scenario["name"]]])
             for scenario, title, keys in drawn if results.get(scenario["name"])]
    drawn = [panel for panel in drawn if panel[2]]
    if not drawn:
        return False
    columns = min(3, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    size = (9, 3.6) if len(drawn) == 1 else (4 * columns, 3 * rows)
    figure, grid = pyplot.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    flat = [axes for row in grid for axes in row]
    for axes, (scenario, title, keys) in zip(flat, drawn):
        draw_one(axes, results[scenario["name"]], title, keys, scenario["points"])
    for axes in flat[len(drawn):]:
        axes.set_visible(False)
    for row in grid:
        row[0].set_ylabel("held, MiB", fontsize=8)
    handles = {}
    for axes in flat[:len(drawn)]:
        for handle, label in zip(*axes.get_legend_handles_labels()):
            handles.setdefault(label, handle)
    handles = {label: handles[label] for label in sorted(handles, key=[*map(title_of, COLOURS)].index)}
    if len(drawn) == 1:
        figure.get_layout_engine().set(rect=(0, 0, 0.84, 1))
        figure.legend(handles.values(), handles.keys(), loc="center right", fontsize=8, frameon=False)
    else:
        below = 0.35 / size[1]
        figure.get_layout_engine().set(rect=(0, below, 1, 1 - below))
        figure.legend(handles.values(), handles.keys(), loc="lower center", ncols=9, fontsize=8, frameon=False)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    # A tenth of a point is finer than any screen; trailing blanks are matplotlib's.
    path.write_text(re.sub(r" +$", "", re.sub(r"(\d+\.\d)\d+", r"\1", text.getvalue()), flags=re.MULTILINE))
    return True


def main():
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "miniheap", "path.simplify": True,
                                "path.simplify_threshold": 0.2, "font.family": "sans-serif"})
    from matplotlib import pyplot

    results, folder = json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawn in panels(results["mode"], results["played"]).items():
        if draw(pyplot, folder / f"{name}.svg", drawn, results["results"]):
            print(f"{name}.svg")


if __name__ == "__main__":
    main()
