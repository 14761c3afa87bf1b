// SPDX-License-Identifier: BSL-1.0
#include <miniheap/detail/page_supply.hpp>

#include "catch.hpp"

#include <miniheap/policy/source_wrappers.hpp>

#include <cstring>
#include <set>
#include <vector>

using namespace miniheap;
using namespace miniheap::detail;

namespace {

using source = failing_source<counting_source<>>;
using supply = page_supply<source>;

struct record {
  std::byte bytes[200];
};

/// Purges nothing, and writes down what it is asked to.
struct single_source {
  std::vector<const void*> purged;  // in calls of `purge`
  const void* stubborn = nullptr;

  void* map(std::size_t, std::size_t) noexcept { return nullptr; }
  bool unmap(void*, std::size_t) noexcept { return false; }
  bool purge(void* p, std::size_t) noexcept {
    purged.push_back(p);
    return p != stubborn;
  }
};

/// Of many rows it does no more than the first `most` in a call.
struct row_source : single_source {
  std::size_t most = 100;
  std::vector<std::size_t> rows_of_calls;

  std::size_t purge_rows(const page_row*, std::size_t count) noexcept {
    rows_of_calls.push_back(count);
    return count < most ? count : most;
  }
};

/// Rows of 1, 2, 3, 4 and 5 pages, of memory that nobody reads.
struct five_rows {
  std::byte memory[5] = {};
  page_row rows[5];

  five_rows() {
    for (std::size_t n = 0; n < 5; ++n) rows[n] = {&memory[n], (n + 1) * page_bytes};
  }
};

/// What is refused of the first `count` of five rows.
template <class Source>
std::vector<const void*> refused_of(page_supply<Source>& s, const five_rows& five, std::size_t count,
                                    const void* hopeless = nullptr) {
  std::vector<const void*> refused;
  const auto is_hopeless = [&](const page_row& row) { return row.memory == hopeless; };
  s.purge_rows(five.rows, count, is_hopeless, [&](const page_row& row) {
    CHECK(row.bytes == five.rows[static_cast<const std::byte*>(row.memory) - five.memory].bytes);
    refused.push_back(row.memory);
  });
  return refused;
}

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

TEST_CASE("page_supply: purges rows in one call where the source can do that", "[page_supply]") {
  page_supply<row_source> s{row_source{}};
  const five_rows five;
  CHECK(refused_of(s, five, 5).empty());
  CHECK(s.source().rows_of_calls == std::vector<std::size_t>{5});
  CHECK(s.source().purged.empty());
  CHECK(s.given_back_bytes() == 15 * page_bytes);
  CHECK(refused_of(s, five, 0).empty());
  CHECK(refused_of(s, five, 1).empty());
  CHECK(s.source().rows_of_calls.size() == 1);  // not worth it
  CHECK(s.source().purged == std::vector<const void*>{&five.memory[0]});
  CHECK(s.given_back_bytes() == 16 * page_bytes);
}

TEST_CASE("page_supply: rows that are left are purged one by one, and those that are refused are told",
          "[page_supply]") {
  page_supply<row_source> s{row_source{}};
  const five_rows five;
  for (const std::size_t most : {0u, 2u, 3u}) {
    s.source().most = most;
    s.source().purged.clear();
    s.source().stubborn = &five.memory[3];
    const std::size_t before_bytes = s.given_back_bytes();
    CHECK(refused_of(s, five, 5) == std::vector<const void*>{&five.memory[3]});
    REQUIRE(s.source().purged.size() == 5 - most);
    for (std::size_t n = most; n < 5; ++n) CHECK(s.source().purged[n - most] == &five.memory[n]);
    CHECK(s.given_back_bytes() - before_bytes == 11 * page_bytes);
  }
}

TEST_CASE("page_supply: rows that are hopeless are not asked for, and count as refused", "[page_supply]") {
  page_supply<row_source> s{row_source{}};
  const five_rows five;
  s.source().most = 2;
  CHECK(refused_of(s, five, 5, &five.memory[3]) == std::vector<const void*>{&five.memory[3]});
  CHECK(s.source().purged == std::vector<const void*>{&five.memory[2], &five.memory[4]});
}

TEST_CASE("page_supply: rows are purged one by one where the source can do no more", "[page_supply]") {
  STATIC_REQUIRE_FALSE(row_purging_page_source<single_source>);
  page_supply<single_source> s{single_source{}};
  const five_rows five;
  s.source().stubborn = &five.memory[1];
  CHECK(refused_of(s, five, 5) == std::vector<const void*>{&five.memory[1]});
  REQUIRE(s.source().purged.size() == 5);
  for (std::size_t n = 0; n < 5; ++n) CHECK(s.source().purged[n] == &five.memory[n]);
  CHECK(s.given_back_bytes() == 13 * page_bytes);
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
