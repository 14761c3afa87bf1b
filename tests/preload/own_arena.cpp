// SPDX-License-Identifier: BSL-1.0
// A program that replaces malloc in itself, with an arena type of its own.
#include <miniheap/arena.hpp>

namespace preload_tests {

struct own_arena : miniheap::miniheap_arena<miniheap::mmap_source, miniheap::coarse_lock<>, miniheap::best_fit,
                                            miniheap::lowest_address_first,
                                            miniheap::arena_config{.miniheap_bytes = miniheap::MiB}> {
  using miniheap_arena::miniheap_arena;
};

}  // namespace preload_tests

#define MINIHEAP_REPLACE_MALLOC preload_tests::own_arena
#include <miniheap/replace_malloc.hpp>

#include <cstdio>
#include <map>
#include <string>

int main() {
  std::map<int, std::string> words;
  for (int n = 0; n < 10000; ++n) words[n * 7919 % 10007] = std::string(static_cast<std::size_t>(n % 200), 'w');
  const struct mallinfo2 info = ::mallinfo2();
  if (info.arena == 0 || info.arena % miniheap::MiB != 0 || info.uordblks < 1000000) return 1;
  try {
    volatile std::size_t too_many_bytes = std::size_t{1} << 60;
    ::operator delete(::operator new(too_many_bytes));
    return 2;
  } catch (const std::bad_alloc&) {
  }
  return std::puts("own arena") < 0 ? 3 : 0;
}
