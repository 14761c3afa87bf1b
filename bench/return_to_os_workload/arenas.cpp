// SPDX-License-Identifier: BSL-1.0
// Plays a scenario with memory of the program's own choice, as a container would have it: return_to_os_arenas MEMORY
// SCENARIO PERCENT.

#include "arena_memory.hpp"
#include "in_program.hpp"

#include <string_view>

namespace {

using namespace return_to_os;

template <class Memory>
bool play_with(std::string_view scenario, std::size_t percent) {
  Memory memory;
  return play<of_arenas>(memory, {}, scenario, percent);
}

using unlocked_arena = miniheap::miniheap_arena<miniheap::mmap_source, miniheap::no_lock>;

constexpr contender contenders[] = {
    {"arena", play_with<arena_memory<miniheap::miniheap_arena<>>>},
    {"arena_no_lock", play_with<arena_memory<unlocked_arena>>},
    {"pmr_pool", play_with<pool_memory>},
};

}  // namespace

int main(int argc, char** argv) { return play_with_one_of(contenders, argc, argv); }
