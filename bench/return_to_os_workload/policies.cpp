// SPDX-License-Identifier: BSL-1.0
// Plays a scenario over an arena with one policy replaced, and has the arena's statistics say what it holds:
// return_to_os_policies POLICY SCENARIO PERCENT.

#include "arena_memory.hpp"
#include "browser.hpp"
#include "churn.hpp"
#include "saw.hpp"
#include "scenarios.hpp"
#include "survivors.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

using namespace return_to_os;

template <class Memory>
constexpr scenario<Memory> played[] = {
    {"churn", churn<Memory, 32, 16, 6, 0>::play},
    {"churn_mixed", churn<Memory, 32, 16, 6, 20>::play},
    {"churn_medium", churn<Memory, 64, 4 * KiB, 6, 20>::play},
    {"browser", browser<Memory>::play},
    {"survivors_10", survivors<Memory, 100>},
    {"saw", saw<Memory>::play},
};

template <class Fit, class Selection>
bool play_with(std::string_view scenario, std::size_t percent) {
  using arena = miniheap::miniheap_arena<miniheap::mmap_source, miniheap::no_lock, Fit, Selection>;
  arena_memory<arena> memory;
  return play(memory, {arena_memory<arena>::held, &memory}, played<arena_memory<arena>>, scenario, percent);
}

struct contender {
  std::string_view name;
  bool (*play)(std::string_view scenario, std::size_t percent);
};

using namespace miniheap;

constexpr contender contenders[] = {
    {"fullest_first", play_with<first_fit, fullest_first>},
    {"lowest_address_first", play_with<first_fit, lowest_address_first>},
    {"newest_first", play_with<first_fit, newest_first>},
    {"emptiest_first", play_with<first_fit, emptiest_first>},
    {"best_fit", play_with<best_fit, fullest_first>},
    {"good_fit", play_with<good_fit, fullest_first>},
    {"next_fit", play_with<next_fit, fullest_first>},
};

}  // namespace

int main(int argc, char** argv) {
  const std::string_view policy = argc > 2 ? argv[1] : "";
  const std::size_t percent = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 100;
  for (const contender& c : contenders) {
    if (c.name == policy && c.play(argv[2], percent)) return 0;
  }
  std::fprintf(stderr, "usage: %s POLICY SCENARIO [PERCENT]; the policies are:\n", argv[0]);
  for (const contender& c : contenders) std::fprintf(stderr, "  %s\n", c.name.data());
  return 2;
}
