# SPDX-License-Identifier: BSL-1.0
"""What all commands show alike: colours, cells of tables, progress, and what is to be said against the results."""

import sys
import time

from comparison.machine import TOO_MUCH_OTHER_WORK

COLOUR = sys.stdout.isatty()
BOLD, RED, GREEN, YELLOW = "1", "31", "32", "33"
CELL = 11  # columns wide


def painted(text, code):
    return f"\033[{code}m{text}\033[0m" if COLOUR and code else text


def cell(text, width, code=None):
    return painted(f"{text:>{width}}", code)


def marked(text, missed=None, width=CELL):
    """A cell with a place for the mark behind the number; `missed` is None where there is no goal."""
    return cell(text + ("!" if missed else " "), width, {None: None, True: RED, False: GREEN}[missed])


class Progress:
    """One line that is rewritten on a terminal; elsewhere a line now and then."""

    def __init__(self, total):
        self.total, self.done, self.start, self.shown = total, 0, time.monotonic(), 0.0
        self.terminal = sys.stderr.isatty()

    def step(self, what):
        self.done += 1
        now = time.monotonic()
        if self.terminal:
            left = (now - self.start) / self.done * (self.total - self.done)
            print(f"\r\033[K{self.done}/{self.total} {what}, {left:.0f} s left", end="", file=sys.stderr, flush=True)
            if self.done == self.total:
                print("\r\033[K", end="", file=sys.stderr, flush=True)
        elif now - self.shown > 15 or self.done == self.total:
            self.shown = now
            print(f"{self.done}/{self.total} measurements, {now - self.start:.0f} s", file=sys.stderr, flush=True)


def print_doubts(other_work, doubtful, skipped, failures):
    """`other_work`: a share of the processors, which makes something doubtful; `failures`: (what failed, why)."""
    if other_work > TOO_MUCH_OTHER_WORK:
        print(painted(f"other work took {other_work:.0%} of the processors: take no {doubtful} from here as a result",
                      YELLOW))
    for reason in skipped:
        print(painted("skipped", YELLOW) + " " + reason)
    for what, why in failures:
        print(painted("FAILED", RED) + f"  {what}: {why.splitlines()[0]}")
