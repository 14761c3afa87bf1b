// SPDX-License-Identifier: BSL-1.0
// What a hardened arena stops besides: writes behind an allocation and after its end, and sizes that are not exact.
#include <miniheap/thread_cache.hpp>

#include <cstring>
#include <initializer_list>

#include "arenas.hpp"
#include "child.hpp"

using namespace misuse;

namespace {

constexpr miniheap::arena_config hardened_config{.checks = miniheap::check_level::hardened};

struct hardened_arena : miniheap::miniheap_arena<miniheap::mmap_source, miniheap::no_lock, miniheap::first_fit,
                                                 miniheap::fullest_first, hardened_config> {
  using miniheap_arena::miniheap_arena;
};
struct hardened_fine : miniheap::miniheap_arena<miniheap::mmap_source, miniheap::fine_grained_lock, miniheap::good_fit,
                                                miniheap::newest_first, hardened_config> {
  using miniheap_arena::miniheap_arena;
};
struct hardened_cached
    : miniheap::thread_cached<miniheap::miniheap_arena<miniheap::mmap_source, miniheap::coarse_lock<>,
                                                       miniheap::first_fit, miniheap::fullest_first, hardened_config>> {
  using thread_cached::thread_cached;
};

/// Small ones that fill their slot and that do not, more than a page, medium, medium with a guard, large.
constexpr std::size_t sizes[] = {1, 8, 16, 24, 56, 100, 1000, 4096, 8000, 20 * KiB, 100 * KiB, 300 * KiB, 2 * MiB};
constexpr std::size_t most_waiting_bytes = 1 * MiB;  // what is longer goes back at once

/// Does `deed(arena, p, bytes)` to an allocation of each size, among others; it ends with this fault, of `p`.
template <class Arena, class Deed>
void require_stopped(const char* fault, Deed deed, std::size_t most_bytes = 2 * MiB) {
  for (const std::size_t bytes : sizes) {
    if (bytes > most_bytes) continue;
    INFO(bytes << " bytes");
    require_fault(in_child([&](culprit& named) {
                    Arena arena{"hardened"};
                    void* others[6];
                    for (void*& other : others) other = arena.allocate(bytes);
                    auto* const p = static_cast<unsigned char*>(arena.allocate(bytes));
                    for (int n = 0; n < 6; n += 2) arena.deallocate(others[n]);
                    named = {&arena, p};
                    std::memset(p, 0x5a, bytes);
                    deed(arena, unsuspected(p), bytes);
                  }),
                  "hardened", fault);
  }
}

bool has_guard(std::size_t bytes) { return bytes > 60 * KiB; }

}  // namespace

TEMPLATE_TEST_CASE("hardened: one byte too many is noticed when the allocation is freed", "[misuse]", hardened_arena,
                   hardened_fine, hardened_cached) {
  for (const int written : {0, 1, 65, 255}) {
    INFO("byte " << written);
    require_stopped<TestType>(faults::overflow, [=](TestType& arena, unsigned char* p, std::size_t bytes) {
      p[bytes] = static_cast<unsigned char>(written);
      arena.deallocate(p);
    });
  }
}

TEMPLATE_TEST_CASE("hardened: several bytes, the last of eight, or a string too long", "[misuse]", hardened_arena,
                   hardened_cached) {
  require_stopped<TestType>(faults::overflow, [](TestType& arena, unsigned char* p, std::size_t bytes) {
    std::memset(p + bytes, 'B', 8);
    arena.deallocate(p, bytes);
  });
  require_stopped<TestType>(faults::overflow, [](TestType& arena, unsigned char* p, std::size_t bytes) {
    p[bytes + 7] ^= 0xff;  // a part of the seal, whose bytes are any
    arena.deallocate(p);
  });
}

TEMPLATE_TEST_CASE("hardened: check() finds an overflow of what is alive", "[misuse]", hardened_arena, hardened_fine,
                   hardened_cached) {
  require_stopped<TestType>(faults::overflow, [](TestType& arena, unsigned char* p, std::size_t bytes) {
    p[bytes] = 1;
    const miniheap::check_result found = arena.check();
    if (found || found.where != p) ::_exit(3);
    arena.deallocate(p);
  });
}

TEMPLATE_TEST_CASE("hardened: what was freed twice", "[misuse]", hardened_arena, hardened_fine, hardened_cached) {
  // At once; and after others of the same size were allocated, which do not take its place so soon.
  for (const int others : {0, 3}) {
    INFO(others << " others");
    require_stopped<TestType>(
        faults::double_free,
        [=](TestType& arena, unsigned char* p, std::size_t bytes) {
          arena.deallocate(p);
          for (int n = 0; n < others; ++n) static_cast<void>(arena.allocate(bytes));
          arena.deallocate(p);
        },
        most_waiting_bytes);
  }
}

TEMPLATE_TEST_CASE("hardened: a write after free is noticed when the memory is used again", "[misuse]", hardened_arena,
                   hardened_fine, hardened_cached) {
  for (const std::size_t bytes : sizes) {
    for (const std::size_t at : {std::size_t{0}, bytes / 2, bytes - 1}) {
      INFO(bytes << " bytes, at " << at);
      const ending how = in_child([&](culprit& named) {
        TestType arena{"reused"};
        static_cast<void>(arena.allocate(bytes));
        auto* const p = static_cast<unsigned char*>(arena.allocate(bytes));
        arena.deallocate(p);
        named = {&arena, p};
        unsuspected(p)[at] = 1;
        for (int n = 0; n < (bytes < most_waiting_bytes ? 20000 : 1); ++n) arena.deallocate(arena.allocate(bytes));
      });
      if (how.signal == SIGSEGV && bytes > most_waiting_bytes) continue;  // there was nothing to write to
      require_fault(how, "reused", faults::write_after_free);
    }
  }
}

TEMPLATE_TEST_CASE("hardened: check() finds a write after free", "[misuse]", hardened_arena, hardened_cached) {
  for (const std::size_t bytes : sizes) {
    if (bytes > most_waiting_bytes) continue;
    INFO(bytes << " bytes");
    const ending how = in_child([&](culprit&) {
      TestType arena{"checked"};
      static_cast<void>(arena.allocate(bytes));
      auto* const p = static_cast<unsigned char*>(arena.allocate(bytes));
      arena.deallocate(p);
      unsuspected(p)[bytes / 2] = 1;
      const miniheap::check_result found = arena.check();
      ::_exit(found ? 3 : std::strcmp(found.broken, faults::write_after_free) == 0 ? 4 : 5);
    });
    CHECK(how.exit_code == 4);
  }
}

TEMPLATE_TEST_CASE("hardened: memory is zero before it is used and after it is freed", "[misuse]", hardened_arena,
                   hardened_fine, hardened_cached) {
  for (const std::size_t bytes : sizes) {
    INFO(bytes << " bytes");
    const ending how = in_child([&](culprit&) {
      TestType arena{"zero"};
      const auto require_zero = [&](const unsigned char* p) {
        for (std::size_t n = 0; n < bytes; ++n) {
          if (p[n] != 0) ::_exit(3);
        }
      };
      for (int round = 0; round < 300; ++round) {
        auto* const p = static_cast<unsigned char*>(arena.allocate(bytes));
        require_zero(p);
        std::memset(p, 0xa5, bytes);
        arena.deallocate(p);
        if (bytes <= most_waiting_bytes) require_zero(unsuspected(p));
        if (bytes > most_waiting_bytes && round > 5) break;
      }
      if (!arena.check()) ::_exit(4);
    });
    INFO(how.text);
    CHECK(how.signal == 0);
    CHECK(how.exit_code == 0);
  }
}

TEMPLATE_TEST_CASE("hardened: an allocation of no bytes cannot be read or written", "[misuse]", hardened_arena,
                   hardened_fine, hardened_cached) {
  const auto ends_with = [](auto deed) {
    return in_child([&](culprit& named) {
      TestType arena{"empty"};
      auto* const p = static_cast<unsigned char*>(arena.allocate(0));
      named = {&arena, p};
      if (p == arena.allocate(0) || arena.usable_size(p) != 0 || !arena.owns(p)) ::_exit(3);
      deed(arena, unsuspected(p));
    });
  };
  CHECK(ends_with([](TestType&, unsigned char* p) { *p = 1; }).signal == SIGSEGV);
  CHECK(ends_with([](TestType&, unsigned char* p) { ::_exit(*p); }).signal == SIGSEGV);
  CHECK(ends_with([](TestType& arena, unsigned char* p) { arena.deallocate(p, 0); }).signal == 0);
  CHECK(ends_with([](TestType& arena, unsigned char* p) {
          auto* const q = static_cast<unsigned char*>(arena.reallocate(p, 10));
          q[9] = 1;
          arena.deallocate(q);
        }).signal == 0);
  require_fault(ends_with([](TestType& arena, unsigned char* p) {
                  arena.deallocate(p);
                  arena.deallocate(p);
                }),
                "empty", faults::double_free);
  require_fault(ends_with([](TestType& arena, unsigned char* p) { arena.deallocate(p, 1); }), "empty",
                faults::wrong_size);
}

TEMPLATE_TEST_CASE("hardened: longer allocations end at a page that nobody can access", "[misuse]", hardened_arena,
                   hardened_fine, hardened_cached) {
  for (const std::size_t bytes : sizes) {
    if (!has_guard(bytes)) continue;
    INFO(bytes << " bytes");
    CHECK(in_child([&](culprit&) {
            TestType arena{"guarded"};
            auto* const p = static_cast<unsigned char*>(arena.allocate(bytes));
            for (std::size_t n = bytes; n < bytes + 2 * 4096; n += 16) unsuspected(p)[n] = 1;
          }).signal == SIGSEGV);
  }
}

TEMPLATE_TEST_CASE("hardened: an overflow or underflow far enough meets a guard", "[misuse]", hardened_arena,
                   hardened_cached) {
  const auto goes = [](std::ptrdiff_t step) {
    return in_child([&](culprit&) {
             TestType arena{"far"};
             auto* p = static_cast<unsigned char*>(arena.allocate(64));
             for (std::ptrdiff_t n = 0; n < 1024 * 1024; n += 16) p[n * step] = 0;
           })
        .signal;
  };
  CHECK(goes(1) == SIGSEGV);
  CHECK(goes(-1) == SIGSEGV);
}

TEMPLATE_TEST_CASE("hardened: a sized free says exactly what was asked for", "[misuse]", hardened_arena, hardened_fine,
                   hardened_cached) {
  require_stopped<TestType>(
      faults::wrong_size, [](TestType& arena, unsigned char* p, std::size_t bytes) { arena.deallocate(p, bytes + 1); });
  require_stopped<TestType>(
      faults::wrong_size, [](TestType& arena, unsigned char* p, std::size_t bytes) { arena.deallocate(p, bytes - 1); });
  require_stopped<TestType>(faults::wrong_alignment, [](TestType& arena, unsigned char* p, std::size_t bytes) {
    arena.deallocate(p, bytes, 64);
  });
}

TEMPLATE_TEST_CASE("hardened: pointers that are none of its allocations", "[misuse]", hardened_arena, hardened_fine,
                   hardened_cached) {
  for (const std::size_t bytes : sizes) {
    for (const std::size_t at : {std::size_t{1}, std::size_t{8}, std::size_t{16}, bytes / 2, bytes}) {
      if (at % 16 == 0 && at >= bytes) continue;  // the start of a slot, perhaps: see below
      INFO(bytes << " bytes, at " << at);
      const ending how = in_child([&](culprit& named) {
        TestType arena{"interior"};
        auto* const p = static_cast<std::byte*>(arena.allocate(bytes));
        named = {&arena, p + at};
        arena.deallocate(p + at);
      });
      if (at == 0) continue;
      CHECK(how.signal == SIGABRT);
      CHECK(how.text.find("invalid free") != std::string::npos);
    }
  }
}

TEST_CASE("hardened: a slot that nobody has", "[misuse]") {
  for (std::size_t n = 1; n < 64; ++n) {
    const ending how = in_child([&](culprit&) {
      hardened_cached arena{"neighbour"};
      const std::uintptr_t p = reinterpret_cast<std::uintptr_t>(arena.allocate(56));
      arena.deallocate(reinterpret_cast<void*>((p & ~std::uintptr_t{4095}) + (p + n * 64) % 4096));
    });
    INFO("slot " << n);
    CHECK(how.signal == SIGABRT);
    CHECK(how.text.find("double free") != std::string::npos);
  }
}
