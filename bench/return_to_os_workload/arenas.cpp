// SPDX-License-Identifier: BSL-1.0
// Plays a scenario with memory of the program's own choice, as a container would have it: return_to_os_arenas MEMORY
// SCENARIO PERCENT.

#include "arena_memory.hpp"
#include "scenarios.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

using namespace return_to_os;

template <class Memory>
constexpr scenario<Memory> single_threaded[] = {
    {"survivors_0.1", survivors<Memory, 1>},
    {"survivors_1", survivors<Memory, 10>},
    {"survivors_5", survivors<Memory, 50>},
    {"survivors_10", survivors<Memory, 100>},
    {"survivors_25", survivors<Memory, 250>},
    {"survivors_50", survivors<Memory, 500>},
    {"shift", shift<Memory>},
    {"nothing", [](stage<Memory>& s) noexcept { s.start(); }},
};

template <class Memory>
bool play_with(std::string_view scenario, std::size_t percent) {
  Memory memory;
  return play(memory, {}, single_threaded<Memory>, scenario, percent);
}

struct contender {
  std::string_view name;
  bool (*play)(std::string_view scenario, std::size_t percent);
};

using unlocked_arena = miniheap::miniheap_arena<miniheap::mmap_source, miniheap::no_lock>;

constexpr contender contenders[] = {
    {"arena", play_with<arena_memory<miniheap::miniheap_arena<>>>},
    {"arena_no_lock", play_with<arena_memory<unlocked_arena>>},
    {"pmr_pool", play_with<pool_memory>},
};

}  // namespace

int main(int argc, char** argv) {
  const std::string_view memory = argc > 2 ? argv[1] : "";
  const std::size_t percent = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 100;
  for (const contender& c : contenders) {
    if (c.name == memory && c.play(argv[2], percent)) return 0;
  }
  std::fprintf(stderr, "usage: %s arena|arena_no_lock|pmr_pool SCENARIO [PERCENT]\n", argv[0]);
  return 2;
}
