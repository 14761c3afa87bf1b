# SPDX-License-Identifier: BSL-1.0
"""What it is measured on, and who else used that meanwhile."""

import contextlib
import os
import pathlib
import resource
import time

TOO_MUCH_OTHER_WORK = 0.03  # of the processors


def machine():
    thp = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
    offered = thp.read_text().split("[")[1].split("]")[0] if thp.exists() else "none"
    return {"processors": os.cpu_count(), "kernel": os.uname().release, "transparent_huge_pages": offered}


def in_words(facts):
    return f"{facts['processors']} processors, huge pages: {facts['transparent_huge_pages']}"


@contextlib.contextmanager
def on_one_processor(turn):
    """What is started meanwhile runs on one processor, another one in the next turn: one may be half as fast as another,
    as others work beside it, and contenders have to be measured on the same."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(processors)[turn % len(processors)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, processors)


class OtherWork:
    """How much of the processors others take meanwhile: with threads that have to wait for them, ratios mislead."""

    def __init__(self):
        self.started, self.busy, self.own = time.monotonic(), self.busy_seconds(), self.own_seconds()

    @staticmethod
    def busy_seconds():
        user, nice, system, _, _, irq, soft_irq, *_ = map(int, pathlib.Path("/proc/stat").read_text().split()[1:8])
        return (user + nice + system + irq + soft_irq) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def own_seconds():
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(u.ru_utime + u.ru_stime for u in used)

    def share(self):
        others = self.busy_seconds() - self.busy - (self.own_seconds() - self.own)
        return max(0, others) / (time.monotonic() - self.started) / os.cpu_count()
