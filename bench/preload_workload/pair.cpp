// SPDX-License-Identifier: BSL-1.0
// malloc and free of one small object, nothing in between: what the two calls cost when all they need is in the cache.
// Prints nanoseconds for 16, 32 and 64 bytes. The least of many short rounds, as whatever disturbs only adds.

#include "common.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace {

using namespace workload;

constexpr std::size_t pairs_in_a_round = 1'000'000;

// The compiler must believe that the object is used, or it leaves out both calls.
double nanoseconds_per_pair(std::size_t size) {
  const stopwatch watch;
  for (std::size_t i = 0; i < pairs_in_a_round; ++i) {
    void* p = std::malloc(size);
    asm volatile("" : "+r"(p) : : "memory");
    std::free(p);
  }
  return watch.seconds() * 1e9 / pairs_in_a_round;
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t rounds = scaled(30, argc, argv);
  for (const std::size_t size : {16u, 32u, 64u}) {
    double least = nanoseconds_per_pair(size);
    for (std::size_t i = 1; i < rounds; ++i) least = std::min(least, nanoseconds_per_pair(size));
    char name[32];
    std::snprintf(name, sizeof name, "pair_%zu", size);
    report(name, least);
  }
}
