# SPDX-License-Identifier: BSL-1.0
"""What a scenario is played with: one malloc or another, an arena in the program, an arena with one policy replaced."""

import dataclasses
import glob
import platform
import re

from comparison import allocators
from comparison.allocators import Allocator

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
    peers = [a for a in allocators.PEERS if a.key != "glibc_thp"]
    peers.append(Allocator("scudo", scudo[-1] if scudo else "libclang_rt.scudo_standalone", "libclang-rt-14-dev"))

    def wanted(allocator):
        """Its keys: glibc's malloc is played with twice, the second time by a program that asks it to give back."""
        keys = ["glibc", "glibc_trim"] if allocator.key == "glibc" else [allocator.key]
        return [key for key in keys if re.search(pattern, key)]

    found, skipped = allocators.choose(peers, library, wanted)
    chosen = []
    for allocator in found:
        for key in wanted(allocator):
            is_asked = key != allocator.key
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
