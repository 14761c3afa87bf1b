# SPDX-License-Identifier: BSL-1.0
"""Plays scenarios and turns what the programs print into medians."""

import csv
import statistics
import subprocess

from comparison import measuring
from comparison.measuring import TIMEOUT_SECONDS, Failed


def play(contender, build, scenario, percent):
    """The samples of one process, in their order: a dictionary each."""
    command = contender.command(build, scenario, percent)
    try:
        done = subprocess.run(command, env=contender.variables(), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace", timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise Failed(f"did not end in {TIMEOUT_SECONDS} seconds") from None
    samples = [{name: value if name == "point" else float(value) for name, value in row.items()}
               for row in csv.DictReader(done.stdout.splitlines())]
    if done.returncode != 0 or not samples:
        raise Failed(f"exit status {done.returncode}: {(done.stderr or done.stdout)[-500:]}".rstrip())
    return samples


def measure(scenarios, contenders, build, percent, repetitions, own_bytes):
    """(plays, failures): plays by (scenario name, contender key), a list of lists of samples. `own_bytes` is what the
    program takes without a call of malloc."""
    rounds = [[(scenario, contenders) for scenario in scenarios if number == 0 or not scenario.once]
              for number in range(repetitions)]

    def samples_of(scenario, contender):
        samples = play(contender, build, scenario.name, percent)
        for sample in samples:
            sample["held"] -= own_bytes
        return samples

    return measuring.measure(rounds, lambda s, c: f"{s.name} with {c.key}", samples_of)


def at_points(samples, measure_of):
    """Point name -> (held over live, held bytes), means where a point was passed several times."""
    found = {}
    for sample in samples:
        if sample["point"] and sample["live"]:
            found.setdefault(sample["point"], []).append((sample[measure_of] / sample["live"], sample[measure_of]))
    return {name: tuple(map(statistics.fmean, zip(*values))) for name, values in found.items()}


def summary(plays, measure_of):
    """What tables and charts need, ready for JSON: scenario -> contender -> medians over the repetitions."""
    result = {}
    for (scenario, contender), repetitions in plays.items():
        points = [at_points(samples, measure_of) for samples in repetitions]
        length = min(map(len, repetitions))
        curve = [statistics.median(samples[i][measure_of] for samples in repetitions) for i in range(length)]
        first = repetitions[0][:length]
        result.setdefault(scenario, {})[contender] = {
            "cpu": statistics.median(samples[-1]["cpu"] for samples in repetitions),
            "ratio": {name: statistics.median(p[name][0] for p in points) for name in points[0]},
            "least": {name: min(p[name][0] for p in points) for name in points[0]},
            "most": {name: max(p[name][0] for p in points) for name in points[0]},
            "when_all_is_freed": curve[-1],
            "lazy_free": max(sample["lazy_free"] for samples in repetitions for sample in samples),
            "curve": curve,
            "live": [sample["live"] for sample in first],
            "marks": {sample["point"]: i for i, sample in enumerate(first) if sample["point"]},
        }
    return result


def write_samples(path, plays):
    measuring.write_csv(path, [
        {"scenario": scenario, "contender": contender, "repetition": number, "step": step,
         **{name: int(value) if isinstance(value, float) and value.is_integer() else value
            for name, value in sample.items()}}
        for (scenario, contender), repetitions in plays.items()
        for number, samples in enumerate(repetitions, 1) for step, sample in enumerate(samples)])
