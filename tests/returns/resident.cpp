// SPDX-License-Identifier: BSL-1.0
// What an arena says that it holds is what the kernel says that the process holds for it.
#include <miniheap/arena.hpp>

#include <sys/mman.h>

#include "catch.hpp"
#include "random.hpp"

#include <cstdio>
#include <cstring>
#include <vector>

using namespace miniheap;

namespace {

/// Anonymous memory of this process, bytes, without AddressSanitizer's shadow, which lies below all else: some kernels
/// give memory to what is only read.
std::size_t anonymous_bytes() {
  constexpr std::size_t end_of_shadow = 0x100080000000;
  std::FILE* const file = std::fopen("/proc/self/smaps", "r");
  REQUIRE(file != nullptr);
  char line[512];
  std::size_t sum_kib = 0;
  bool is_shadow = false;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t kib = 0;
    if (std::sscanf(line, "%zx-%zx ", &begin, &end) == 2) {
      is_shadow = begin < end_of_shadow;
    } else if (!is_shadow && std::sscanf(line, "Anonymous: %zu", &kib) == 1) {
      sum_kib += kib;
    }
  }
  std::fclose(file);
  return sum_kib * KiB;
}

/// Of a huge page more is resident than was used.
template <std::size_t ReserveBytes>
struct with_reserve {
  static constexpr arena_config config{
      .reserve_floor_bytes = ReserveBytes, .reserve_ceiling_bytes = 32 * MiB, .huge_pages_from_bytes = 0};
};

}  // namespace

TEMPLATE_TEST_CASE("returns: the estimate of what is resident agrees with the kernel", "[returns]",
                   with_reserve<512 * KiB>, with_reserve<32 * MiB>) {
  constexpr std::size_t most = 300'000;
  std::vector<void*> all;
  all.reserve(most);
  const std::vector<char> touched(most * sizeof(void*), 1);  // so that the allocator of this has what it needs
  miniheap_arena<mmap_source, no_lock, first_fit, fullest_first, TestType::config> arena;
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

TEST_CASE("returns: of a new miniheap only what describes the pages in use is touched", "[returns]") {
  struct small_pages_source : mmap_source {
    void* map(std::size_t bytes, std::size_t alignment) noexcept {
      void* const p = mmap_source::map(bytes, alignment);
      if (p != nullptr) ::madvise(p, bytes, MADV_NOHUGEPAGE);
      return p;
    }
  };
  constexpr arena_config half_a_miniheap{.large_threshold_bytes = 2 * MiB, .huge_pages_from_bytes = 0};
  miniheap_arena<small_pages_source, no_lock, first_fit, fullest_first, half_a_miniheap> arena;
  const std::size_t before_bytes = anonymous_bytes();
  for (int n = 0; n < 32; ++n) REQUIRE(arena.try_allocate(2 * MiB) != nullptr);
  CHECK(arena.stats().miniheaps == 32);
  CHECK(anonymous_bytes() - before_bytes < arena.stats().head_bytes / 2);
}
