// SPDX-License-Identifier: BSL-1.0
#include <miniheap/policy/page_source.hpp>

#include "catch.hpp"

#include <miniheap/config.hpp>
#include <miniheap/detail/page_supply.hpp>

#include <fcntl.h>
#include <unistd.h>
#include <cstdlib>
#include <cstring>
#include <vector>

using namespace miniheap;
using miniheap::detail::page_bytes;
using miniheap::detail::page_supply;

namespace {

bool is_aligned(const void* p, std::size_t alignment) { return reinterpret_cast<std::uintptr_t>(p) % alignment == 0; }

bool is_filled(const void* p, std::size_t bytes, unsigned char with) {
  const auto* const c = static_cast<const unsigned char*>(p);
  for (std::size_t i = 0; i < bytes; ++i) {
    if (c[i] != with) return false;
  }
  return true;
}

/// Pages of addresses that the process has, as the kernel counts them. Nothing here allocates.
long pages_of_process() {
  char text[64] = {};
  const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  const bool is_read = file >= 0 && ::read(file, text, sizeof text - 1) > 0;
  ::close(file);
  return is_read ? std::strtol(text, nullptr, 10) : -1;
}

}  // namespace

TEST_CASE("mmap_source: maps zeros at any alignment", "[page_source]") {
  mmap_source source;
  for (std::size_t alignment = 4096; alignment <= 64 * MiB; alignment *= 4) {
    std::vector<void*> mapped;
    for (int n = 0; n < 4; ++n) {
      void* const p = source.map(68 * KiB, alignment);
      REQUIRE(p != nullptr);
      CHECK(is_aligned(p, alignment));
      CHECK(is_filled(p, 68 * KiB, 0));
      std::memset(p, 0xff, 68 * KiB);
      mapped.push_back(p);
    }
    for (void* const p : mapped) CHECK(source.unmap(p, 68 * KiB));
  }
}

TEST_CASE("mmap_source: what is mapped for the alignment alone goes back", "[page_source]") {
  mmap_source source;
  const long before = pages_of_process();
  REQUIRE(before > 0);
  void* mapped[8];
  for (void*& p : mapped) p = source.map(1 * MiB, 16 * MiB);
  const long with_all = pages_of_process();
  for (void* const p : mapped) source.unmap(p, 1 * MiB);
  const long after = pages_of_process();
  CHECK(with_all - before == 8 * 256);
  CHECK(after == before);
}

TEST_CASE("mmap_source: refuses what cannot be", "[page_source]") {
  mmap_source source;
  CHECK(source.map(std::size_t{1} << 62, 4096) == nullptr);
  CHECK(source.map(SIZE_MAX / 4096 * 4096, 1 * MiB) == nullptr);
  CHECK(source.map(4096, std::size_t{1} << 63) == nullptr);
}

TEST_CASE("mmap_source: purged pages are zeros again", "[page_source]") {
  mmap_source source;
  void* const p = source.map(64 * KiB, 4096);
  REQUIRE(p != nullptr);
  std::memset(p, 1, 64 * KiB);
  CHECK(source.purge(static_cast<std::byte*>(p) + 16 * KiB, 32 * KiB));
  CHECK(is_filled(p, 16 * KiB, 1));
  CHECK(is_filled(static_cast<std::byte*>(p) + 16 * KiB, 32 * KiB, 0));
  CHECK(is_filled(static_cast<std::byte*>(p) + 48 * KiB, 16 * KiB, 1));
  CHECK(source.unmap(p, 64 * KiB));
}

TEST_CASE("mmap_source: the contents of many rows of pages are gone, and neighbours keep theirs", "[page_source]") {
  page_supply<mmap_source> supply{mmap_source{}};
  constexpr std::size_t rows = 1100;
  constexpr std::size_t period = 4 * page_bytes;  // of which a row has one page, two or three
  auto* const p = static_cast<std::byte*>(supply.map(rows * period, page_bytes));
  REQUIRE(p != nullptr);
  std::vector<page_row> all;
  for (std::size_t n = 0; n < rows; ++n) all.push_back({p + n * period, (n % 3 + 1) * page_bytes});
  CHECK(supply.source().purge_rows(all.data(), 0) == 0);
  const bool can = supply.source().purge_rows(all.data(), 1) == 1;  // the kernel does, since 6.15
  for (const std::size_t count :
       {std::size_t{2}, std::size_t{127}, std::size_t{128}, std::size_t{129}, std::size_t{1024}, rows}) {
    std::memset(p, 1, rows * period);
    if (can) {
      CHECK(supply.source().purge_rows(all.data(), count) == count);
    } else {
      CHECK(supply.source().purge_rows(all.data(), count) == 0);
      const auto is_hopeless = [](const page_row&) { return false; };
      supply.purge_rows(all.data(), count, is_hopeless, [](const page_row&) { FAIL("refused"); });
    }
    for (std::size_t n = 0; n < rows; ++n) {
      const std::size_t purged_bytes = n < count ? all[n].bytes : 0;
      REQUIRE(is_filled(p + n * period, purged_bytes, 0));
      REQUIRE(is_filled(p + n * period + purged_bytes, period - purged_bytes, 1));
    }
  }
  CHECK(supply.unmap(p, rows * period));
}

TEST_CASE("mmap_source: rows that are not purged are not among those that it says it did", "[page_source]") {
  mmap_source source;
  constexpr std::size_t rows = 200;
  auto* const p = static_cast<std::byte*>(source.map(2 * rows * page_bytes, page_bytes));
  REQUIRE(p != nullptr);
  std::vector<page_row> all;
  for (std::size_t n = 0; n < rows; ++n) all.push_back({p + 2 * n * page_bytes, page_bytes});
  for (const std::size_t gap : {std::size_t{150}, std::size_t{0}}) {
    REQUIRE(source.unmap(all[gap].memory, page_bytes));
    for (std::size_t n = 0; n < gap; ++n) std::memset(all[n].memory, 1, page_bytes);
    const std::size_t done = source.purge_rows(all.data(), rows);
    CHECK(done <= gap);
    for (std::size_t n = 0; n < done; ++n) REQUIRE(is_filled(all[n].memory, page_bytes, 0));
  }
  CHECK(source.unmap(p + page_bytes, 299 * page_bytes));
  CHECK(source.unmap(p + 301 * page_bytes, 99 * page_bytes));
}

TEST_CASE("mmap_source: remapping keeps the contents and the alignment", "[page_source]") {
  mmap_source source;
  const std::size_t alignment = 256 * KiB;
  for (const std::size_t new_bytes : {4 * KiB, 128 * KiB, 512 * KiB, 5 * MiB}) {
    // The second stands in the way of the first, or the first of the second.
    void* const p = source.map(256 * KiB, alignment);
    void* const obstacle = source.map(256 * KiB, alignment);
    REQUIRE(p != nullptr);
    REQUIRE(obstacle != nullptr);
    std::memset(p, 7, 256 * KiB);
    std::memset(obstacle, 9, 256 * KiB);
    void* const q = source.remap(p, 256 * KiB, new_bytes, alignment);
    void* const r = source.remap(obstacle, 256 * KiB, new_bytes, alignment);
    REQUIRE(q != nullptr);
    REQUIRE(r != nullptr);
    CHECK(is_aligned(q, alignment));
    CHECK(is_aligned(r, alignment));
    const std::size_t kept_bytes = new_bytes < 256 * KiB ? new_bytes : 256 * KiB;
    CHECK(is_filled(q, kept_bytes, 7));
    CHECK(is_filled(r, kept_bytes, 9));
    CHECK(is_filled(static_cast<std::byte*>(q) + kept_bytes, new_bytes - kept_bytes, 0));
    CHECK(source.unmap(q, new_bytes));
    CHECK(source.unmap(r, new_bytes));
  }
}

TEST_CASE("mmap_source: a failed remap changes nothing", "[page_source]") {
  mmap_source source;
  void* const p = source.map(64 * KiB, 64 * KiB);
  REQUIRE(p != nullptr);
  std::memset(p, 3, 64 * KiB);
  CHECK(source.remap(p, 64 * KiB, std::size_t{1} << 50, 64 * KiB) == nullptr);
  CHECK(is_filled(p, 64 * KiB, 3));
  CHECK(source.unmap(p, 64 * KiB));
}

TEST_CASE("mmap_source: populated pages are resident, and keep what they hold", "[page_source]") {
  mmap_source source;
  auto* const p = static_cast<std::byte*>(source.map(64 * KiB, 64 * KiB));
  REQUIRE(p != nullptr);
  p[5] = std::byte{7};
  source.populate(p, 32 * KiB);
  source.prefer_huge_pages(p, 64 * KiB);  // nothing to see at this size, and nothing lost
  unsigned char is_resident[16] = {};
  REQUIRE(::mincore(p, 64 * KiB, is_resident) == 0);
  if ((is_resident[1] & 1) != 0) {  // the kernel can, since 5.14
    for (int page = 0; page < 8; ++page) CHECK((is_resident[page] & 1) == 1);
    for (int page = 8; page < 16; ++page) CHECK((is_resident[page] & 1) == 0);
  }
  CHECK(p[5] == std::byte{7});
  CHECK(is_filled(p + 8, 32 * KiB - 8, 0));
  CHECK(source.unmap(p, 64 * KiB));
}

TEST_CASE("mmap_source: takes back parts, and neighbours in one call", "[page_source]") {
  mmap_source source;
  auto* const p = static_cast<std::byte*>(source.map(64 * KiB, 4096));
  REQUIRE(p != nullptr);
  std::memset(p, 1, 64 * KiB);
  CHECK(source.unmap(p + 16 * KiB, 16 * KiB));
  CHECK(is_filled(p, 16 * KiB, 1));
  CHECK(is_filled(p + 32 * KiB, 32 * KiB, 1));
  source.prefer_huge_pages(p + 48 * KiB, 16 * KiB);  // to the kernel it is a mapping by itself now
  CHECK(source.unmap(p + 36 * KiB, 28 * KiB));
  CHECK(source.unmap(p, 16 * KiB));
  CHECK(source.unmap(p + 32 * KiB, 4 * KiB));
}

TEST_CASE("mmap_source: neighbours are remapped as one, whatever the kernel takes them for", "[page_source]") {
  mmap_source source;
  for (const std::size_t part_bytes : {4 * KiB, 40 * KiB, 128 * KiB}) {
    auto* const p = static_cast<std::byte*>(source.map(256 * KiB, 4096));
    REQUIRE(p != nullptr);
    for (std::size_t at = 0; at < 256 * KiB; ++at) p[at] = static_cast<std::byte>(at / 4096 % 251);
    source.prefer_huge_pages(p + part_bytes, 4 * KiB);
    auto* const q = static_cast<std::byte*>(source.remap(p, 256 * KiB, 1 * MiB, 4096));
    REQUIRE(q != nullptr);
    for (std::size_t at = 0; at < 256 * KiB; ++at) REQUIRE(q[at] == static_cast<std::byte>(at / 4096 % 251));
    std::memset(q, 2, 1 * MiB);
    CHECK(source.unmap(q, 1 * MiB));
  }
}

TEST_CASE("mmap_source: what grows step by step seldom moves", "[page_source]") {
  mmap_source source;
  std::size_t moves = 0;
  void* p = source.map(64 * KiB, 4096);
  for (std::size_t bytes = 64 * KiB; bytes < 16 * MiB; bytes += 64 * KiB) {
    void* const obstacle = source.map(4 * KiB, 4096);
    void* const q = source.remap(p, bytes, bytes + 64 * KiB, 4096);
    REQUIRE(q != nullptr);
    moves += q != p;
    p = q;
    source.unmap(obstacle, 4 * KiB);
  }
  CHECK(moves < 32);
  CHECK(source.unmap(p, 16 * MiB));
}
