// SPDX-License-Identifier: BSL-1.0
// Plays a scenario over an arena with one policy replaced, and has the arena's statistics say what it holds:
// return_to_os_policies POLICY SCENARIO PERCENT.

#include "arena_memory.hpp"
#include "in_program.hpp"

#include <string_view>

namespace {

using namespace return_to_os;

template <class Fit, class Selection>
bool play_with(std::string_view scenario, std::size_t percent) {
  using arena = miniheap::miniheap_arena<miniheap::mmap_source, miniheap::no_lock, Fit, Selection>;
  arena_memory<arena> memory;
  return play<of_policies>(memory, {arena_memory<arena>::held, &memory}, scenario, percent);
}

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

int main(int argc, char** argv) { return play_with_one_of(contenders, argc, argv); }
