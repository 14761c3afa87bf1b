// SPDX-License-Identifier: BSL-1.0
// What C, POSIX and C++ promise of malloc and new, one promise a test.
#include "malloc/scene.hpp"

#include "catch.hpp"
#include "misuse/child.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

using namespace malloc_tests;

namespace {

std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

std::vector<unsigned char> bytes_at(const void* p, std::size_t bytes) {
  const auto* const first = static_cast<const unsigned char*>(p);
  return {first, first + bytes};
}

/// The call failed with this errno; ready for the next.
bool failed_with(int error, const void* p) {
  const int now = errno;
  errno = 0;
  return p == nullptr && now == error;
}

}  // namespace

TEST_CASE("malloc: alignment, room, and addresses of their own for no bytes", "[malloc]") {
  scene s;
  std::set<void*> all;
  for (const std::size_t bytes : {0u, 0u, 0u, 1u, 1u, 15u, 16u, 17u, 1000u, 8192u, 8193u, 32769u, 100000u}) {
    void* const p = s.api.malloc(bytes);
    REQUIRE(p != nullptr);
    CHECK(address(p) % 16 == 0);
    CHECK(s.api.malloc_usable_size(p) >= bytes);
    std::memset(p, 0xff, s.api.malloc_usable_size(p));
    CHECK(all.insert(p).second);
  }
  for (void* const p : all) s.api.free(p);
  s.api.free(nullptr);
  CHECK(s.api.malloc_usable_size(nullptr) == 0);
  CHECK(s.live() == 0);
}

TEST_CASE("malloc: what cannot be served is ENOMEM, and nothing has changed", "[malloc]") {
  scene s;
  for (const std::size_t bytes : no_sizes) {
    CAPTURE(bytes);
    CHECK(failed_with(ENOMEM, s.api.malloc(opaque(bytes))));
    CHECK(failed_with(ENOMEM, s.api.calloc(opaque(bytes), 1)));
    CHECK(failed_with(ENOMEM, s.api.calloc(1, opaque(bytes))));
    CHECK(failed_with(ENOMEM, s.api.realloc(nullptr, opaque(bytes))));
    CHECK(failed_with(ENOMEM, s.api.aligned_alloc(4096, opaque(bytes))));
    CHECK(failed_with(ENOMEM, s.api.memalign(64, opaque(bytes))));
    CHECK(failed_with(ENOMEM, s.api.valloc(opaque(bytes))));
    CHECK(failed_with(ENOMEM, s.api.pvalloc(opaque(bytes))));
    CHECK_THROWS_AS(s.api.operator_new(opaque(bytes)), std::bad_alloc);
    CHECK(s.api.operator_new_nothrow(opaque(bytes)) == nullptr);
    errno = 0;
  }
  CHECK(failed_with(ENOMEM, s.api.malloc(limit_bytes)));  // possible, but more than there is
  CHECK(s.live() == 0);
}

TEST_CASE("calloc: zeros, also where memory was used before; products that overflow", "[malloc]") {
  scene s;
  for (const std::size_t bytes : {1u, 100u, 8000u, 20000u, 100000u}) {
    CAPTURE(bytes);
    void* const used = s.api.malloc(bytes);
    std::memset(used, 0xff, bytes);
    s.api.free(used);
    void* const p = s.api.calloc(bytes, 1);
    REQUIRE(p != nullptr);
    CHECK(bytes_at(p, bytes) == std::vector<unsigned char>(bytes));
    s.api.free(p);
  }
  errno = 0;
  CHECK(failed_with(ENOMEM, s.api.calloc(SIZE_MAX / 2 + 1, 2)));
  CHECK(failed_with(ENOMEM, s.api.calloc(SIZE_MAX / 16 + 2, 16)));  // the product is 16 without its highest bits
  for (void* const none : {s.api.calloc(0, 0), s.api.calloc(0, SIZE_MAX), s.api.calloc(SIZE_MAX, 0)}) {
    CHECK(none != nullptr);
    s.api.free(none);
  }
}

TEST_CASE("realloc: nullptr allocates, no bytes frees, else contents are kept", "[malloc]") {
  scene s;
  void* p = s.api.realloc(nullptr, 10);
  REQUIRE(p != nullptr);
  std::memset(p, 7, 10);
  for (const std::size_t bytes : {100u, 10000u, 200000u, 300000u, 12u, 10u}) {
    p = s.api.realloc(p, bytes);
    REQUIRE(p != nullptr);
    CHECK(bytes_at(p, 10) == std::vector<unsigned char>(10, 7));
    CHECK(s.live() == 1);
  }
  errno = 0;
  CHECK(failed_with(0, s.api.realloc(p, 0)));
  CHECK(s.live() == 0);
  void* const none = s.api.realloc(nullptr, 0);
  CHECK(none != nullptr);
  CHECK(s.live() == 1);
  CHECK(s.api.reallocarray(none, 0, 8) == nullptr);
  CHECK(s.live() == 0);
}

TEST_CASE("realloc: where it fails, the old allocation is as it was", "[malloc]") {
  for (const std::size_t old_bytes : {40u, 4000u, 20000u, 300000u}) {
    CAPTURE(old_bytes);
    scene s;
    void* const p = s.api.malloc(old_bytes);
    std::memset(p, 0x5a, old_bytes);
    const std::vector<unsigned char> before = bytes_at(p, old_bytes);
    const std::size_t usable_bytes = s.api.malloc_usable_size(p);
    errno = 0;
    for (const std::size_t bytes : no_sizes) CHECK(failed_with(ENOMEM, s.api.realloc(p, opaque(bytes))));
    CHECK(failed_with(ENOMEM, s.api.realloc(p, 2 * limit_bytes)));
    CHECK(failed_with(ENOMEM, s.api.reallocarray(p, SIZE_MAX / 2 + 1, 2)));
    CHECK(failed_with(ENOMEM, s.api.reallocarray(p, SIZE_MAX / 16 + 2, 16)));
    CHECK(bytes_at(p, old_bytes) == before);
    CHECK(s.api.malloc_usable_size(p) == usable_bytes);
    CHECK(s.live() == 1);
    s.api.free(p);
  }
}

TEST_CASE("reallocarray: the product of both", "[malloc]") {
  scene s;
  void* p = s.api.reallocarray(nullptr, 100, 30);
  CHECK(s.api.malloc_usable_size(p) >= 3000);
  p = s.api.reallocarray(p, 200, 300);
  CHECK(s.api.malloc_usable_size(p) >= 60000);
  s.api.free(p);
}

TEST_CASE("aligned_alloc, memalign, posix_memalign: any power of two, any size", "[malloc]") {
  scene s;
  std::vector<void*> all;
  for (std::size_t alignment = 1; alignment <= 256 * KiB; alignment *= 2) {
    for (const std::size_t bytes : {0u, 1u, 24u, 3000u, 9000u}) {
      all.push_back(s.api.aligned_alloc(alignment, bytes));
      all.push_back(s.api.memalign(alignment, bytes));
      if (alignment >= sizeof(void*)) {
        void* out = nullptr;
        CHECK(s.api.posix_memalign(&out, alignment, bytes) == 0);
        all.push_back(out);
      }
      for (void* const p : all) {
        REQUIRE(p != nullptr);
        CHECK(address(p) % alignment == 0);
        CHECK(s.api.malloc_usable_size(p) >= bytes);
        s.api.free(p);
      }
      all.clear();
    }
  }
  CHECK(s.live() == 0);
}

TEST_CASE("aligned_alloc and its kin: alignments that are no power of two", "[malloc]") {
  scene s;
  for (const std::size_t alignment : {std::size_t{0}, std::size_t{3}, std::size_t{48}, SIZE_MAX}) {
    CHECK(failed_with(EINVAL, s.api.aligned_alloc(alignment, 64)));
  }
  for (const std::size_t alignment : {0u, 3u, 24u, 33u, 3000u}) {  // memalign takes the next one
    void* const p = s.api.memalign(alignment, 64);
    REQUIRE(p != nullptr);
    CHECK(address(p) % std::bit_ceil(alignment) == 0);
    s.api.free(p);
  }
  errno = 0;
  CHECK(failed_with(EINVAL, s.api.memalign(SIZE_MAX / 2 + 2, 64)));
  CHECK(failed_with(ENOMEM, s.api.memalign(SIZE_MAX / 2, 64)));
  int here = 0;
  void* out = &here;
  for (const std::size_t alignment : {std::size_t{0}, std::size_t{1}, std::size_t{4}, std::size_t{24}, SIZE_MAX}) {
    CHECK(s.api.posix_memalign(&out, alignment, 64) == EINVAL);
  }
  CHECK(s.api.posix_memalign(&out, 64, SIZE_MAX - 100) == ENOMEM);
  CHECK(s.api.posix_memalign(&out, 64, 2 * limit_bytes) == ENOMEM);
  CHECK(out == &here);
  CHECK(errno == 0);
  CHECK(s.live() == 0);
}

TEST_CASE("valloc and pvalloc: pages, for pvalloc whole ones", "[malloc]") {
  scene s;
  for (const std::size_t bytes : {0u, 1u, 4096u, 4097u, 100000u}) {
    void* const p = s.api.valloc(bytes);
    void* const q = s.api.pvalloc(bytes);
    CHECK(address(p) % 4096 == 0);
    CHECK(address(q) % 4096 == 0);
    CHECK(s.api.malloc_usable_size(q) >= std::max<std::size_t>(4096, (bytes + 4095) / 4096 * 4096));
    s.api.free(p);
    s.api.free(q);
  }
  CHECK(s.live() == 0);
}

TEST_CASE("free keeps errno", "[malloc]") {
  scene s;
  for (const std::size_t bytes : {10u, 20000u, 100000u}) {  // each alone in its miniheap or mapping, which goes back
    void* const small = s.api.malloc(bytes);
    void* const sized = s.api.malloc(bytes);
    errno = 4711;
    s.api.free(small);
    s.api.free_sized(sized, bytes);
    CHECK(errno == 4711);
    void* const object = s.api.operator_new(bytes);
    errno = 4711;
    s.api.operator_delete(object);
    CHECK(errno == 4711);
  }
}

TEST_CASE("free_sized, free_aligned_sized, sized delete: the size that was asked for", "[malloc]") {
  scene s;
  for (const std::size_t bytes : {0u, 1u, 100u, 8192u, 9000u, 100000u}) {
    s.api.free_sized(s.api.malloc(bytes), bytes);
    s.api.free_aligned_sized(s.api.aligned_alloc(128, bytes), 128, bytes);
    s.api.operator_delete(s.api.operator_new(bytes), bytes);
    s.api.operator_delete(s.api.operator_new(bytes, 256), bytes, 256);
    s.api.operator_delete(s.api.operator_new(bytes, 256));
  }
  s.api.free_sized(nullptr, 100);
  s.api.free_aligned_sized(nullptr, 64, 100);
  s.api.operator_delete(nullptr, 8);
  CHECK(s.live() == 0);
  misuse::require_fault(misuse::in_child([&](misuse::culprit& named) {
                          void* const p = s.api.malloc(100);
                          named = {&s.arena, p};
                          s.api.free_sized(p, 1000);
                        }),
                        "small", misuse::faults::wrong_size);
}

TEST_CASE("malloc_trim tells whether it gave anything back", "[malloc]") {
  miniheap_arena<mmap_source, no_lock, first_fit, fullest_first, arena_config{.miniheap_bytes = 64 * KiB}> arena;
  malloc_api api{arena};
  CHECK(api.malloc_trim(0) == 0);
  void* const kept = api.malloc(1000);
  api.free(api.malloc(20000));
  CHECK(api.malloc_trim(1 * MiB) == 0);
  CHECK(api.malloc_trim(0) == 1);  // the free pages of the miniheap
  CHECK(api.malloc_trim(0) == 0);
  api.free(kept);
}

TEST_CASE("mallinfo2 adds up", "[malloc]") {
  scene s;
  void* const small = s.api.malloc(1000);
  void* const large = s.api.malloc(100000);
  struct mallinfo2 info = s.api.mallinfo2();
  CHECK(info.arena == 64 * KiB);
  CHECK(info.hblks == 1);
  CHECK(info.hblkhd == 102400);
  CHECK(info.uordblks == 102400 + 1024);
  CHECK(info.fordblks > 0);
  CHECK(info.fordblks < 64 * KiB);
  s.api.free(small);
  s.api.free(large);
  info = s.api.mallinfo2();
  CHECK(info.uordblks == 0);
  CHECK(info.hblkhd == 0);
}
