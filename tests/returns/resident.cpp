// SPDX-License-Identifier: BSL-1.0
// What an arena says that it holds is what the kernel says that the process holds for it.
#include <miniheap/arena.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <cstdio>
#include <cstring>
#include <vector>

using namespace miniheap;

namespace {

/// Anonymous memory of this process, bytes.
std::size_t anonymous_bytes() {
  std::FILE* const file = std::fopen("/proc/self/smaps_rollup", "r");
  REQUIRE(file != nullptr);
  char line[256];
  std::size_t kib = 0;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    if (std::sscanf(line, "Anonymous: %zu", &kib) == 1) break;
  }
  std::fclose(file);
  return kib * KiB;
}

}  // namespace

TEST_CASE("returns: the estimate of what is resident agrees with the kernel", "[returns]") {
  constexpr arena_config small_pages{.huge_pages_from_bytes = 0};  // of a huge page more is resident than was used
  constexpr std::size_t most = 300'000;
  std::vector<void*> all;
  all.reserve(most);
  const std::vector<char> touched(most * sizeof(void*), 1);  // so that the allocator of this has what it needs
  miniheap_arena<mmap_source, no_lock, first_fit, fullest_first, small_pages> arena;
  random_numbers random{5};
  all.resize(most);
  all.clear();
  const std::size_t before_bytes = anonymous_bytes();
  const auto require_agreement = [&] {
    const double said = static_cast<double>(arena.stats().resident_estimate());
    const double seen = static_cast<double>(anonymous_bytes() - before_bytes);
    INFO("arena: " << said / MiB << " MiB, kernel: " << seen / MiB << " MiB");
    CHECK(said > 0.97 * seen);
    CHECK(said < 1.03 * seen);
  };
  for (std::size_t n = 0; n < most; ++n) {
    const std::size_t bytes = 16 + random.below(random.one_in(20) ? 8000u : 400u);
    all.push_back(std::memset(arena.allocate(bytes), 1, bytes));
  }
  require_agreement();
  std::size_t kept = 0;
  for (void* const p : all) {
    if (random.one_in(20)) {
      all[kept++] = p;
    } else {
      arena.deallocate(p);
    }
  }
  require_agreement();
  arena.trim();
  require_agreement();
}
