# SPDX-License-Identifier: BSL-1.0
"""Runs programs under an allocator and tells what they took."""

import dataclasses
import pathlib
import re
import subprocess

from comparison.allocators import clean_environment
from comparison.measuring import TIMEOUT_SECONDS, Failed


@dataclasses.dataclass(frozen=True)
class Sample:
    user: float  # seconds
    system: float
    wall: float
    rss_kib: int  # at its peak
    reported: dict  # what the program printed of itself: name -> number

    @property
    def cpu(self):
        return self.user + self.system


class Child:
    """A program below bench/preload_workload/launch.cpp, which measures it. `finish` waits for it."""

    def __init__(self, folder, build, command, environment):
        self.name, self.result, self.output = pathlib.Path(command[0]).name, folder / "result", folder / "output"
        self.result.unlink(missing_ok=True)
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen([build / "bench" / "preload_launch", self.result, *command], cwd=folder,
                                            env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT)

    def finish(self, seconds=TIMEOUT_SECONDS):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end in {seconds} seconds") from None
        finally:
            self.stop()
        text = self.output.read_text(errors="replace")
        if self.process.returncode != 0 or not self.result.exists():
            raise Failed(f"{self.name}: exit status {self.process.returncode}\n{text[-2000:]}".rstrip())
        user, system, wall, rss, _ = self.result.read_text().split()
        reported = {}
        for line in text.splitlines():
            if found := re.fullmatch(r"(\w+)\t([-+.\de]+)", line):
                reported[found[1]] = float(found[2])
        return Sample(float(user), float(system), float(wall), int(rss), reported)

    def stop(self):
        """Ends it, whatever it is doing: the launcher passes the first signal on and ends with its child."""
        for end in (self.process.terminate, self.process.kill):
            if self.process.poll() is None:
                end()
                try:
                    self.process.wait(10)
                except subprocess.TimeoutExpired:
                    pass


@dataclasses.dataclass(frozen=True)
class Place:
    """Where and how much: the folder for files, the build directory, the share of the full work in percent."""

    folder: pathlib.Path
    build: pathlib.Path
    percent: int

    def child(self, command, *environments):
        environment = clean_environment()
        for variables in environments:
            environment.update(variables)
        return Child(self.folder, self.build, [str(part) for part in command], environment)
