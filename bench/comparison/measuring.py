# SPDX-License-Identifier: BSL-1.0
"""Takes samples of many contenders, in turn, and stores them."""

import csv
import random
import sys

from comparison.terminal import Progress

TIMEOUT_SECONDS = 300


class Failed(Exception):
    """A program ended as it should not have."""


def in_turns(rounds, name_of):
    """Yields (workload, contender), the contenders of a workload in random order, and shows how far it is.

    A round is a list of (workload, contenders); `name_of` names a pair."""
    progress = Progress(sum(len(contenders) for turns in rounds for _, contenders in turns))
    order = random.Random(1)
    for turns in rounds:
        for workload, contenders in turns:
            for contender in order.sample(contenders, len(contenders)):
                yield workload, contender
                progress.step(name_of(workload, contender))


def measure(rounds, name_of, sample_of):
    """(samples, failures) by (workload name, contender key): all that sample_of(workload, contender) returned, and why
    it failed. There is no sample of a pair that failed once."""
    samples, failures = {}, {}
    for workload, contender in in_turns(rounds, name_of):
        key = workload.name, contender.key
        if key in failures:
            continue
        try:
            samples.setdefault(key, []).append(sample_of(workload, contender))
        except Failed as failure:
            failures[key] = str(failure)
            samples.pop(key, None)
            print(f"\n{name_of(workload, contender)}: {failure}", file=sys.stderr, flush=True)
    return samples, failures


def write_csv(path, rows):
    """Rows are dictionaries; those that lack a column of others leave it empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with open(path, "w", newline="") as file:
        out = csv.DictWriter(file, columns, restval="")
        out.writeheader()
        out.writerows(rows)
