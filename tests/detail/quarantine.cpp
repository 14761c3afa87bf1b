// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/empty_allocations.hpp>
#include <miniheap/detail/quarantine.hpp>

#include "catch.hpp"

#include <memory>
#include <set>
#include <vector>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

void* pointer(std::size_t n) { return reinterpret_cast<void*>(0x7f0000000000 + 64 * n); }

}  // namespace

TEST_CASE("quarantine: first in, first out, within a bound in bytes and in number", "[quarantine]") {
  const auto waiting = std::make_unique<quarantine>();
  std::size_t in = 0;
  std::size_t out = 0;
  const std::uint32_t c = size_class(64);
  for (const std::size_t limit : {std::size_t{640}, std::size_t{0}, 1 * MiB}) {
    for (int n = 0; n < 2000; ++n) {
      waiting->add(pointer(in++), c, limit, [&](void* p, std::uint32_t its_class) {
        CHECK(p == pointer(out++));
        CHECK(its_class == c);
      });
      REQUIRE(waiting->slots() == in - out);
      REQUIRE(waiting->bytes() == (in - out) * 64);
      REQUIRE(waiting->bytes() <= limit);
      REQUIRE(waiting->slots() < quarantine::most);
      REQUIRE((limit < 1 * MiB || n < 600 || waiting->slots() + 1 == quarantine::most));
    }
  }
  waiting->flush([&](void* p, std::uint32_t) { CHECK(p == pointer(out++)); });
  CHECK(in == out);
  CHECK(waiting->bytes() == 0);
}

TEST_CASE("quarantine: each entry comes back with its stock class", "[quarantine]") {
  const auto waiting = std::make_unique<quarantine>();
  for (std::uint32_t c = 0; c < stock_classes; ++c) waiting->add(pointer(c), c, 100 * MiB, [](void*, std::uint32_t) {});
  std::uint32_t next = 0;
  waiting->flush([&](void* p, std::uint32_t c) {
    CHECK(c == next);
    CHECK(p == pointer(next++));
  });
  CHECK(next == stock_classes);
}

TEST_CASE("empty_allocations: addresses of their own, used in turn, until there are none left", "[empty_allocations]") {
  using empties = empty_allocations<no_lock::null_mutex>;
  const auto all = std::make_unique<empties>();
  std::vector<std::byte> range(empties::range_bytes + 64);
  std::byte* const begin = range.data() + (64 - address_of(range.data()) % 64);
  int maps = 0;
  const auto map = [&](std::size_t bytes) {
    CHECK(bytes == empties::range_bytes);
    ++maps;
    return static_cast<void*>(begin);
  };
  CHECK_FALSE(all->contains(begin));
  std::set<void*> seen;
  for (std::uint32_t n = 0; n < empties::most; ++n) {
    void* const p = all->take(16, map);
    if (!seen.insert(p).second || !all->contains(p) || !all->is_live(p)) FAIL(n);
  }
  CHECK(all->take(16, map) == nullptr);
  CHECK(all->count() == empties::most);
  CHECK(maps == 1);
  CHECK(all->give(begin + 160));
  CHECK_FALSE(all->give(begin + 160));
  CHECK_FALSE(all->give(begin + 161));
  CHECK_FALSE(all->is_live(begin + 160));
  CHECK(all->take(64, map) == nullptr);
  CHECK(all->take(16, map) == begin + 160);
  bool is_unmapped = false;
  all->release([&](void* p, std::size_t bytes) { return is_unmapped = p == begin && bytes == empties::range_bytes; });
  CHECK(is_unmapped);
  CHECK_FALSE(all->contains(begin));
  CHECK(all->count() == 0);
}

TEST_CASE("empty_allocations: one that was freed is not the next one", "[empty_allocations]") {
  const auto all = std::make_unique<empty_allocations<no_lock::null_mutex>>();
  const auto map = [](std::size_t) { return pointer(0); };
  void* const p = all->take(16, map);
  CHECK(all->give(p));
  CHECK(all->take(16, map) != p);
}

TEST_CASE("empty_allocations: where no such pages can be had, nobody asks again", "[empty_allocations]") {
  const auto all = std::make_unique<empty_allocations<no_lock::null_mutex>>();
  int asked = 0;
  const auto map = [&](std::size_t) {
    ++asked;
    return static_cast<void*>(nullptr);
  };
  CHECK(all->take(16, map) == nullptr);
  CHECK(all->take(16, map) == nullptr);
  CHECK(asked == 1);
  CHECK_FALSE(all->contains(pointer(0)));
}
