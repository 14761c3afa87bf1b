// SPDX-License-Identifier: BSL-1.0
#include <miniheap/policy/buffer_source.hpp>

#include "catch.hpp"
#include "random.hpp"

#include <miniheap/config.hpp>

#include <cstring>
#include <map>
#include <memory>
#include <vector>

using namespace miniheap;

namespace {

std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

/// Whether `bytes` bytes at a multiple of `alignment` lie in the buffer beside what is mapped.
bool has_room(const std::map<std::uintptr_t, std::size_t>& mapped, std::uintptr_t begin, std::uintptr_t end,
              std::size_t bytes, std::size_t alignment) {
  std::uintptr_t free = begin;
  const auto fits = [&](std::uintptr_t until) {
    const std::uintptr_t start = (free + alignment - 1) / alignment * alignment;
    return start < until && until - start >= bytes;
  };
  for (const auto& [p, size] : mapped) {
    if (fits(p)) return true;
    free = p + size;
  }
  return fits(end);
}

}  // namespace

TEST_CASE("buffer_source: maps where a look at all of the buffer finds room", "[buffer_source]") {
  const std::size_t buffer_bytes = 1 * MiB + 100;
  const std::unique_ptr<std::byte[]> buffer{new std::byte[buffer_bytes]};
  const std::uintptr_t begin = (address(buffer.get()) + 4095) / 4096 * 4096;
  const std::uintptr_t end = (address(buffer.get()) + buffer_bytes) / 4096 * 4096;
  buffer_source source{buffer.get(), buffer_bytes};
  std::map<std::uintptr_t, std::size_t> mapped;
  random_numbers random{5};
  int refused = 0;
  for (int n = 0; n < 20000; ++n) {
    if (mapped.empty() || random.below(100u) < 55) {
      const std::size_t bytes =
          4096 * random.between(std::size_t{1}, random.one_in(4) ? std::size_t{40} : std::size_t{4});
      const std::size_t alignment = std::size_t{4096} << random.below(6u);
      void* const p = source.map(bytes, alignment);
      REQUIRE((p != nullptr) == has_room(mapped, begin, end, bytes, alignment));
      if (p == nullptr) {
        ++refused;
        continue;
      }
      std::memset(p, 0xee, bytes);  // whatever the source keeps is not in here
      const auto [it, is_new] = mapped.emplace(address(p), bytes);
      REQUIRE(is_new);
      if (address(p) % alignment != 0 || address(p) < begin || address(p) + bytes > end) FAIL("not in its place");
      if (it != mapped.begin() && std::prev(it)->first + std::prev(it)->second > address(p))
        FAIL("overlaps the one before");
      if (std::next(it) != mapped.end() && address(p) + bytes > std::next(it)->first) FAIL("overlaps the next");
    } else {
      const auto it = std::next(mapped.begin(), static_cast<std::ptrdiff_t>(random.below(mapped.size())));
      REQUIRE(source.purge(reinterpret_cast<void*>(it->first), it->second));
      REQUIRE(source.unmap(reinterpret_cast<void*>(it->first), it->second));
      mapped.erase(it);
    }
  }
  CHECK(refused > 100);
  for (const auto& [p, bytes] : mapped) REQUIRE(source.unmap(reinterpret_cast<void*>(p), bytes));
  CHECK(source.map(end - begin, 4096) == reinterpret_cast<void*>(begin));
  CHECK(source.map(4096, 4096) == nullptr);
}

TEST_CASE("buffer_source: a buffer without a whole page has nothing", "[buffer_source]") {
  alignas(4096) static std::byte memory[3 * 4096];
  CHECK(buffer_source{memory, 0}.map(4096, 4096) == nullptr);
  CHECK(buffer_source{memory, 4095}.map(4096, 4096) == nullptr);
  CHECK(buffer_source{memory + 1, 2 * 4096 - 2}.map(4096, 4096) == nullptr);
  CHECK(buffer_source{memory + 1, 2 * 4096}.map(4096, 4096) == memory + 4096);
  CHECK(buffer_source{memory, 4096}.map(4096, 4096) == memory);
  CHECK(buffer_source{memory, 3 * 4096}.map(4 * 4096, 4096) == nullptr);
}
