// SPDX-License-Identifier: BSL-1.0
#include <miniheap/policy/buffer_source.hpp>
#include <miniheap/policy/source_wrappers.hpp>

#include "catch.hpp"

#include <miniheap/config.hpp>

#include <type_traits>
#include <vector>

using namespace miniheap;

namespace {

/// Purges the first `most` rows, or says so.
struct row_source : mmap_source {
  std::size_t most = 0;
  const page_row* asked_for = nullptr;
  std::size_t asked_rows = 0;

  std::size_t purge_rows(const page_row* rows, std::size_t count) noexcept {
    asked_for = rows;
    asked_rows = count;
    return most;
  }
};

template <class Source>
inline constexpr bool all_begin_by_themselves =
    std::is_default_constructible_v<counting_source<Source>>&& std::is_default_constructible_v<failing_source<Source>>&&
        std::is_constructible_v<limited_source<Source>, std::size_t>;
template <class Source>
inline constexpr bool all_take_one =
    std::is_constructible_v<counting_source<Source>, Source>&& std::is_constructible_v<failing_source<Source>, Source>&&
        std::is_constructible_v<limited_source<Source>, std::size_t, Source>;

}  // namespace

TEST_CASE("source wrappers: begin by themselves where the source inside does", "[source_wrappers]") {
  STATIC_REQUIRE(all_begin_by_themselves<mmap_source>);
  STATIC_REQUIRE_FALSE(std::is_default_constructible_v<counting_source<buffer_source>>);
  STATIC_REQUIRE_FALSE(std::is_default_constructible_v<failing_source<counting_source<buffer_source>>>);
  STATIC_REQUIRE_FALSE(std::is_constructible_v<limited_source<buffer_source>, std::size_t>);
  STATIC_REQUIRE(all_take_one<mmap_source>);
  STATIC_REQUIRE(all_take_one<buffer_source>);
}

TEST_CASE("counting_source: counts calls, and bytes of calls that succeed", "[source_wrappers]") {
  counting_source<failing_source<>> source{failing_source<>{}};
  void* p = source.map(64 * KiB, 4096);
  REQUIRE(p != nullptr);
  p = source.remap(p, 64 * KiB, 128 * KiB, 4096);
  REQUIRE(p != nullptr);
  CHECK(source.purge(p, 4096));
  source.inner().fail_one_in(1, 1);
  CHECK(source.map(4096, 4096) == nullptr);
  CHECK(source.remap(p, 128 * KiB, 4096, 4096) == nullptr);
  CHECK(!source.purge(p, 4096));
  CHECK(!source.unmap(p, 128 * KiB));
  CHECK(source.counts().mapped_bytes == 128 * KiB);
  source.inner().never_fail();
  CHECK(source.unmap(p, 128 * KiB));
  const source_counts counts = source.counts();
  CHECK(counts.map_calls == 2);
  CHECK(counts.remap_calls == 2);
  CHECK(counts.purge_calls == 2);
  CHECK(counts.unmap_calls == 2);
  CHECK(counts.mapped_bytes == 0);
  CHECK(counts.peak_mapped_bytes == 128 * KiB);
  CHECK(counts.purged_bytes == 4096);
}

TEST_CASE("counting_source: each row that was purged counts as a call", "[source_wrappers]") {
  counting_source<row_source> source{row_source{}};
  const page_row rows[] = {{nullptr, 4 * KiB}, {nullptr, 8 * KiB}, {nullptr, 16 * KiB}};
  source.inner().most = 2;
  CHECK(source.purge_rows(rows, 3) == 2);
  CHECK(source.inner().asked_for == rows);
  CHECK(source.inner().asked_rows == 3);
  CHECK(source.counts().purge_calls == 2);
  CHECK(source.counts().purged_bytes == 12 * KiB);
  source.inner().most = 0;
  CHECK(source.purge_rows(rows, 3) == 0);
  CHECK(source.counts().purge_calls == 2);
  CHECK(source.counts().purged_bytes == 12 * KiB);
}

TEST_CASE("limited_source: passes rows on, and counts none", "[source_wrappers]") {
  limited_source<row_source> source{100 * KiB, row_source{}};
  const page_row rows[] = {{nullptr, 4 * KiB}, {nullptr, 8 * KiB}};
  source.inner().most = 1;
  CHECK(source.purge_rows(rows, 2) == 1);
  CHECK(source.inner().asked_for == rows);
  CHECK(source.inner().asked_rows == 2);
  CHECK(source.free_bytes() == 100 * KiB);
}

TEST_CASE("limited_source: maps up to its limit, and again what came back", "[source_wrappers]") {
  limited_source<> source{100 * KiB};
  CHECK(source.map(104 * KiB, 4096) == nullptr);
  void* const p = source.map(60 * KiB, 4096);
  REQUIRE(p != nullptr);
  CHECK(source.free_bytes() == 40 * KiB);
  CHECK(source.map(44 * KiB, 4096) == nullptr);
  void* const q = source.map(40 * KiB, 4096);
  REQUIRE(q != nullptr);
  CHECK(source.free_bytes() == 0);
  CHECK(source.purge(q, 4096));
  CHECK(source.unmap(q, 40 * KiB));
  CHECK(source.free_bytes() == 40 * KiB);

  CHECK(source.remap(p, 60 * KiB, 104 * KiB, 4096) == nullptr);
  void* const r = source.remap(p, 60 * KiB, 100 * KiB, 4096);
  REQUIRE(r != nullptr);
  CHECK(source.free_bytes() == 0);
  void* const s = source.remap(r, 100 * KiB, 8 * KiB, 4096);
  REQUIRE(s != nullptr);
  CHECK(source.free_bytes() == 92 * KiB);
  CHECK(source.unmap(s, 8 * KiB));
  CHECK(source.free_bytes() == 100 * KiB);
}

TEST_CASE("limited_source: what the inner source refuses is not counted", "[source_wrappers]") {
  limited_source<failing_source<>> source{100 * KiB, failing_source<>{}};
  source.inner().fail_at(1);
  CHECK(source.map(100 * KiB, 4096) == nullptr);
  CHECK(source.free_bytes() == 100 * KiB);
  void* const p = source.map(50 * KiB / 4096 * 4096, 4096);
  const std::size_t free_bytes = source.free_bytes();
  source.inner().fail_at(1);
  CHECK(!source.unmap(p, 48 * KiB));
  source.inner().fail_at(1);
  CHECK(source.remap(p, 48 * KiB, 96 * KiB, 4096) == nullptr);
  CHECK(source.free_bytes() == free_bytes);
  CHECK(source.unmap(p, 48 * KiB));
}

TEST_CASE("failing_source: fails the call it is told to, of any verb, once", "[source_wrappers]") {
  failing_source<> source;
  for (std::uint64_t n = 1; n <= 4; ++n) {
    void* p = source.map(8 * KiB, 4096);
    source.fail_at(n);
    const std::uint64_t before = source.calls();
    CHECK(source.purge(p, 4096) == (n != 1));
    void* const q = source.remap(p, 8 * KiB, 4 * KiB, 4096);
    CHECK((q == nullptr) == (n == 2));
    const std::size_t bytes = q == nullptr ? 8 * KiB : 4 * KiB;
    p = q == nullptr ? p : q;
    CHECK(source.unmap(p, bytes) == (n != 3));
    if (n == 3) CHECK(source.unmap(p, bytes));
    void* const last = source.map(4096, 4096);
    CHECK((last == nullptr) == (n == 4 || false));
    if (last != nullptr) CHECK(source.unmap(last, 4096));
    CHECK(source.calls() > before + 3);
  }
}

TEST_CASE("failing_source: fails several calls in succession, or all from one on", "[source_wrappers]") {
  alignas(4096) static std::byte page[4096];
  failing_source<buffer_source> source{buffer_source{page, sizeof page}};
  const auto failures = [&](int calls) {
    std::vector<int> failed;
    for (int n = 1; n <= calls; ++n) {
      if (!source.purge(page, 4096)) failed.push_back(n);
    }
    return failed;
  };
  CHECK(failures(3).empty());
  source.fail_at(2, 3);
  CHECK(failures(8) == std::vector{2, 3, 4});
  source.fail_at(4, UINT64_MAX);
  CHECK(failures(6) == std::vector{4, 5, 6});
  source.never_fail();
  CHECK(failures(6).empty());
}

TEST_CASE("failing_source: fails about one call in so many, the same ones for a seed", "[source_wrappers]") {
  const auto failures = [](std::uint64_t one_in, std::uint64_t seed) {
    alignas(4096) static std::byte page[4096];
    failing_source<buffer_source> source{buffer_source{page, sizeof page}};
    source.fail_one_in(one_in, seed);
    std::vector<int> failed;
    for (int n = 0; n < 10000; ++n) {
      if (!source.purge(page, 4096)) failed.push_back(n);
    }
    source.never_fail();
    CHECK(source.purge(page, 4096));
    return failed;
  };
  CHECK(failures(20, 1).size() > 350);
  CHECK(failures(20, 1).size() < 650);
  CHECK(failures(20, 1) == failures(20, 1));
  CHECK(failures(20, 1) != failures(20, 3));
  CHECK(failures(1, 5).size() == 10000);
}

TEST_CASE("source_wrappers: compose, and do only what the inner one can", "[source_wrappers]") {
  STATIC_REQUIRE(remapping_page_source<limited_source<counting_source<failing_source<mmap_source>>>>);
  STATIC_REQUIRE(page_source<limited_source<counting_source<failing_source<buffer_source>>>>);
  STATIC_REQUIRE(!remapping_page_source<counting_source<buffer_source>>);
  STATIC_REQUIRE(!remapping_page_source<limited_source<buffer_source>>);
  STATIC_REQUIRE(!remapping_page_source<failing_source<buffer_source>>);
  STATIC_REQUIRE(row_purging_page_source<limited_source<counting_source<mmap_source>>>);
  STATIC_REQUIRE(!row_purging_page_source<counting_source<buffer_source>>);
  STATIC_REQUIRE(!row_purging_page_source<limited_source<buffer_source>>);
  STATIC_REQUIRE(!row_purging_page_source<failing_source<mmap_source>>);  // each row may fail
  STATIC_REQUIRE(maps_zeroed<limited_source<counting_source<mmap_source>>>);
  STATIC_REQUIRE(!maps_zeroed<counting_source<buffer_source>>);
}
