# SPDX-License-Identifier: BSL-1.0
"""What is played, the points that tables look at, and what is hoped for there."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Point:
    name: str  # as the program prints it; samples of the same name are averaged
    title: str
    at_least: float | None = None  # held over live, at most: what must be reached, and what is aimed at
    goal: float | None = None


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    points: tuple
    chart: str = ""  # those of the same chart share a picture
    once: bool = False  # never repeated: it takes long, and waits most of it

    @property
    def picture(self):
        return self.chart or self.name


CPU_AT_LEAST, CPU_GOAL = 1.3, 1.0  # over glibc's, in each scenario


def survivors(share, at_least=None, goal=None):
    return Scenario(f"survivors_{share}", f"{share} % of 256 MiB survive",
                    (Point("drop", "drop", at_least, goal), Point("light", "light activity", at_least, goal)),
                    "survivors")


MALLOC = [
    Scenario("browser", "browser: 40 MiB, 90 MiB with tabs", (
        Point("peak", "peak", 1.15, 1.12), Point("drop", "drop"), Point("light", "light activity", 1.28, 1.20),
        Point("spikes", "ten small spikes later", 1.28, 1.22))),
    survivors("0.1", 40, 28), survivors("1", 24, 20), survivors("5", 13, 11), survivors("10", 8.3, 7.5),
    survivors("25"), survivors("50", 2.25, 2.15),
    Scenario("server", "server: two threads, 198 MiB to 6 MiB", (
        Point("peak", "peak"), Point("drop", "drop"), Point("idle", "idle for a second", 6, 4.5),
        Point("traffic", "traffic goes on"))),
    Scenario("shift", "shift: 48, then 128, then 320 bytes", (
        Point("peak", "peak", 2.45, 2.0), Point("drop", "drop"), Point("idle", "idle", 12, 10.5),
        Point("light", "light activity"))),
    Scenario("strings", "strings grown by realloc, 128 MiB to 6.5", (
        Point("peak", "peak"), Point("drop", "drop", 7, 5.5), Point("once", "each realloc'd once", 1.8, 1.4),
        Point("four times", "... four times", 1.5, 1.25))),
    Scenario("large_buffers", "large buffers: 384 MiB to 100", (
        Point("drop", "drop", 1.05, 1.02), Point("activity", "more activity", 1.25, 1.10))),
    Scenario("saw", "saw: 40 cycles of 200 MiB", (Point("trough", "troughs from the 11th on", 2.3, 1.9),)),
    Scenario("patience", "1 % of 256 MiB survive, and time goes by", (
        Point("1 s", "1 s of light activity"), Point("5 s", "5 s"), Point("15 s", "15 s")), once=True),
]

ARENAS = [s for s in MALLOC if s.name.startswith("survivors") or s.name == "shift"]

TURNS = tuple(Point(name, title) for name, title in (
    ("drop", "drop"), ("3 turns", "all replaced 3 times"), ("10 turns", "... 10 times"),
    ("30 turns", "... 30 times"), ("100 turns", "... 100 times")))

POLICIES = [
    Scenario("churn", "16-1024 bytes, all live alike", TURNS, "policies"),
    Scenario("churn_mixed", "16-1024 bytes, a fifth lives long", TURNS, "policies"),
    Scenario("churn_medium", "4-256 KiB, a fifth lives long", TURNS, "policies"),
    Scenario("browser", "browser", (Point("light", "light activity"), Point("spikes", "ten small spikes later"))),
    Scenario("survivors_10", "10 % of 256 MiB survive", (Point("light", "light activity"),)),
    Scenario("saw", "saw", (Point("trough", "troughs from the 11th on"),)),
]

BY_MODE = {"malloc": MALLOC, "arenas": ARENAS, "policies": POLICIES}
