// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/page_supply.hpp>

#include "catch.hpp"

#include <miniheap/policy/source_wrappers.hpp>

#include <cstring>
#include <set>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

using source = failing_source<counting_source<>>;
using supply = page_supply<source>;

struct record {
  std::byte bytes[200];
};

}  // namespace

TEST_CASE("page_supply: counts what is mapped, and the most that was", "[page_supply]") {
  supply s{source{}};
  void* p = s.map(64 * 1024, 64 * 1024);
  REQUIRE(p != nullptr);
  CHECK(s.mapped_bytes() == 64 * 1024);
  p = s.remap(p, 64 * 1024, 256 * 1024, 64 * 1024);
  REQUIRE(p != nullptr);
  CHECK(s.mapped_bytes() == 256 * 1024);
  CHECK(s.peak_bytes() == 256 * 1024);
  CHECK(s.purge(p, 4096));
  CHECK(s.mapped_bytes() == 256 * 1024);

  s.source().fail_at(1);
  CHECK(!s.unmap(p, 256 * 1024));
  s.source().fail_at(1);
  CHECK(s.map(4096, 4096) == nullptr);
  s.source().fail_at(1);
  CHECK(s.remap(p, 256 * 1024, 4096, 64 * 1024) == nullptr);
  CHECK(s.mapped_bytes() == 256 * 1024);
  CHECK(s.unmap(p, 256 * 1024));
  CHECK(s.mapped_bytes() == 0);
  CHECK(s.peak_bytes() == 256 * 1024);
}

TEST_CASE("record_pool: rooms do not overlap, come back, and go back", "[page_supply]") {
  supply s{source{}};
  record_pool<record> pool;
  CHECK(pool.mapped_bytes() == 0);
  std::set<std::byte*> rooms;
  for (int n = 0; n < 500; ++n) {
    void* const room = pool.take(s);
    REQUIRE(room != nullptr);
    std::memset(room, n, sizeof(record));
    REQUIRE(rooms.insert(static_cast<std::byte*>(room)).second);
  }
  const std::byte* last = nullptr;
  for (const std::byte* const room : rooms) {
    if (last != nullptr) REQUIRE(room - last >= static_cast<std::ptrdiff_t>(sizeof(record)));
    REQUIRE(reinterpret_cast<std::uintptr_t>(room) % alignof(std::max_align_t) == 0);
    last = room;
  }
  const std::size_t mapped_bytes = s.mapped_bytes();
  CHECK(pool.mapped_bytes() == mapped_bytes);
  CHECK(mapped_bytes < 500 * sizeof(record) * 3 / 2);
  for (std::byte* const room : rooms) pool.give(room);
  for (int n = 0; n < 500; ++n) CHECK(rooms.count(static_cast<std::byte*>(pool.take(s))) == 1);
  CHECK(s.mapped_bytes() == mapped_bytes);
  pool.release(s);
  CHECK(pool.mapped_bytes() == 0);
  CHECK(s.mapped_bytes() == 0);
}

TEST_CASE("record_pool: without memory there is no room, and what will not go back stays in use", "[page_supply]") {
  supply s{source{}};
  record_pool<record> pool;
  s.source().fail_at(1);
  CHECK(pool.take(s) == nullptr);
  CHECK(pool.mapped_bytes() == 0);
  for (int n = 0; n < 500; ++n) REQUIRE(pool.take(s) != nullptr);
  s.source().fail_at(2);
  pool.release(s);
  const std::size_t stuck_bytes = s.mapped_bytes();
  CHECK(stuck_bytes != 0);
  CHECK(pool.mapped_bytes() == stuck_bytes);
  CHECK(pool.take(s) != nullptr);
  CHECK(s.mapped_bytes() == stuck_bytes);
  pool.release(s);
  CHECK(s.mapped_bytes() == 0);
}
