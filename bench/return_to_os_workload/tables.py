# SPDX-License-Identifier: BSL-1.0
"""The tables, once as aligned text for a terminal and once as Markdown for docs/."""

from comparison.allocators import OURS
from comparison.terminal import BOLD, GREEN, RED, cell, painted
from return_to_os_workload import scenarios

FIRST, SECOND, CELL = 42, 25, 10


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


class Table:
    """Ratios of one mode: a line for each scenario and point, a column for each contender."""

    second = "point"  # the head of the second column

    def __init__(self, title, played, results, keys, asked=()):
        self.title, self.played, self.results, self.keys = title, played, results, keys
        self.judged = OURS in keys
        self.rivals = [key for key in keys if key != OURS and key not in asked]

    def lines(self):
        """(scenario title, point title, values, best rival, at least, goal)."""
        for scenario in self.played:
            found = self.results.get(scenario.name)
            if not found:
                continue
            for i, point in enumerate(scenario.points):
                values = {key: found[key]["ratio"].get(point.name) for key in self.keys if key in found}
                rivals = [values[key] for key in self.rivals if values.get(key) is not None]
                yield ("" if i else scenario.title, point.title, values, min(rivals, default=None), point.at_least,
                       point.goal)

    def print(self):
        print(painted(self.title, BOLD))
        extra = ["best peer", "at least", "goal"] if self.judged else []
        width = {key: max(CELL, len(key) + 2) for key in self.keys}
        print(f"  {'':<{FIRST}}{'':<{SECOND}}" + "".join(f"{key + ' ':>{width[key]}}" for key in self.keys)
              + "".join(f"{name + ' ':>{CELL}}" for name in extra))
        for scenario, point, values, best, at_least, goal in self.lines():
            cells = ""
            for key in self.keys:
                value = values.get(key)
                mark = self.mark(key, value, at_least, goal)
                cells += cell(("failed" if key not in values else number(value)) + mark, width[key],
                              {"!": RED, "+": GREEN}.get(mark))
            if self.judged:
                cells += "".join(f"{number(value) + ' ':>{CELL}}" for value in (best, at_least, goal))
            print(f"  {scenario:<{FIRST}}{point:<{SECOND}}{cells}".rstrip())
        print()

    @staticmethod
    def mark(key, value, at_least, goal):
        """What to show behind a number of ours: ! missed what must be reached, + reached the goal."""
        if key != OURS or value is None or at_least is None:
            return " "
        return "!" if value > at_least else "+" if value <= goal else " "

    def markdown(self):
        heads = [self.heading(key) for key in self.keys] + (["at least", "goal"] if self.judged else [])
        yield f"| scenario | {self.second} | " + " | ".join(heads) + " |"
        yield "|---|---|" + "---:|" * len(heads)
        for scenario, point, values, _, at_least, goal in self.lines():
            cells = [number(values.get(key)) for key in self.keys]
            least = number(min((value for value in values.values() if value is not None), default=None))
            if set(cells) != {least}:
                cells = [f"**{cell}**" if cell == least else cell for cell in cells]
            if self.judged:
                cells += ["" if value is None else number(value) for value in (at_least, goal)]
            yield f"| {scenario} | {point} | " + " | ".join(cells) + " |"

    @staticmethod
    def heading(key):
        return {OURS: "**miniheap**"}.get(key, key.replace("_", " "))


class CpuTable(Table):
    """CPU time over that of one contender, in the form of the other table."""

    second = "1.00 is"

    def __init__(self, title, played, results, keys, unit):
        super().__init__(title, played, results, keys)
        self.unit = unit

    def lines(self):
        goals = (scenarios.CPU_AT_LEAST, scenarios.CPU_GOAL) if self.judged else (None, None)
        for scenario in self.played:
            found = self.results.get(scenario.name, {})
            if self.unit in found:
                unit = found[self.unit]["cpu"]
                values = {key: found[key]["cpu"] / unit for key in self.keys if key in found}
                rivals = [values[key] for key in self.rivals if key in values]
                yield (scenario.title, f"{self.unit}: {unit:.2f} s", values, min(rivals, default=None), *goals)
