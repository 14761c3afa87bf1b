# SPDX-License-Identifier: BSL-1.0
"""What a scenario is played with: one malloc or another, an arena in the program, an arena with one policy replaced."""

import dataclasses
import glob
import pathlib
import platform
import re

from preload_workload import allocators
from preload_workload.allocators import OURS, Allocator

SCUDO = f"/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.scudo_standalone-{platform.machine()}.so"


@dataclasses.dataclass(frozen=True)
class Contender:
    key: str
    program: str
    before: tuple = ()  # arguments before the scenario's name
    after: tuple = ()  # and behind the percentage
    environment: tuple = ()
    version: str = ""
    is_asked: bool = False  # to give back, by the program

    def command(self, build, scenario, percent):
        return [str(build / "bench" / self.program), *self.before, scenario, str(percent), *self.after]

    def variables(self):
        return {**allocators.clean_environment(), **dict(self.environment)}


def of_malloc(library, pattern):
    """(contenders, sentences about those that were left out)."""
    scudo = sorted(glob.glob(SCUDO))
    known = [a for a in allocators.PEERS if a.key != "glibc_thp"]
    known.append(Allocator("scudo", scudo[-1] if scudo else "libclang_rt.scudo_standalone", "libclang-rt-14-dev"))
    if library:
        known.append(Allocator(OURS, str(pathlib.Path(library).resolve()), "none, built here", "ours"))
    chosen, skipped = [], []
    for allocator in known:
        asked = [False, True] if allocator.key == "glibc" else [False]
        keys = [allocator.key + ("_trim" if is_asked else "") for is_asked in asked]
        if not any(re.search(pattern, key) for key in keys):
            continue
        if reason := allocators.why_not(allocator):
            skipped.append(f"{allocator.key}: {reason}: not measured")
            continue
        for key, is_asked in zip(keys, asked):
            if re.search(pattern, key):
                version = allocators.version(allocator) + (", malloc_trim(0) after each drop" if is_asked else "")
                chosen.append(Contender(key, "return_to_os", after=("trim",) if is_asked else (), version=version,
                                        environment=tuple(allocator.environment().items()), is_asked=is_asked))
    return chosen, skipped


IN_PROGRAM = {
    "arenas": ("return_to_os_arenas", {
        "arena": "miniheap_arena<>", "arena_no_lock": "miniheap_arena<mmap_source, no_lock>",
        "pmr_pool": "std::pmr::unsynchronized_pool_resource"}),
    "policies": ("return_to_os_policies", {
        "fullest_first": "the default: fullest_first, first_fit", "lowest_address_first": "selection",
        "newest_first": "selection", "emptiest_first": "selection", "best_fit": "fit", "good_fit": "fit",
        "next_fit": "fit"}),
}


def in_program(mode, pattern):
    program, known = IN_PROGRAM[mode]
    return [Contender(key, program, before=(key,), version=title) for key, title in known.items()
            if re.search(pattern, key)], []
