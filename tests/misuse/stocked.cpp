// SPDX-License-Identifier: BSL-1.0
// What is freed twice, or was never allocated, where threads have stocks.
#include <miniheap/thread_cache.hpp>

#include <unistd.h>

#include <thread>
#include <vector>

#include "arenas.hpp"
#include "child.hpp"

using namespace misuse;

namespace {

struct cached_arena : miniheap::thread_cached<default_arena> {
  using thread_cached::thread_cached;
};

/// Sanitizers would stop it.
[[gnu::noinline, gnu::no_sanitize_address]] void write_over_mark(void* freed) {
  static_cast<volatile unsigned char*>(freed)[8] = 0;
}

}  // namespace

TEST_CASE("double free at once, whatever a thread has in stock", "[misuse]") {
  for (std::size_t before = 0; before < 64; ++before) {
    INFO("after " << before << " others");
    require_fault(in_child([&](culprit& named) {
                    cached_arena arena{"cached"};
                    std::vector<void*> all;
                    for (int n = 0; n < 200; ++n) all.push_back(arena.allocate(4000));
                    for (std::size_t n = 0; n < before; ++n) arena.deallocate(all[n]);
                    named = {&arena, all[before]};
                    arena.deallocate(all[before]);
                    arena.deallocate(all[before]);
                  }),
                  "cached", faults::double_free);
  }
}

TEST_CASE("what lies in a thread's stock is not freed again, by anyone", "[misuse]") {
  // Freed at once into the stock of this thread; seen by another thread; after it went back to the arena.
  enum class then { others, other_thread, flush, sized, reallocate, usable_size };
  for (const then what :
       {then::others, then::other_thread, then::flush, then::sized, then::reallocate, then::usable_size}) {
    for (const std::size_t bytes : {std::size_t{1}, small_bytes, std::size_t{1000}, 5 * KiB, 8 * KiB, medium_bytes}) {
      INFO("case " << static_cast<int>(what) << ", " << bytes << " bytes");
      require_fault(in_child([&](culprit& named) {
                      cached_arena arena{"stocked"};
                      std::vector<void*> all;
                      for (int n = 0; n < 30; ++n) all.push_back(arena.allocate(bytes));
                      void* const p = all[10];
                      named = {&arena, p};
                      arena.deallocate(p);
                      switch (what) {
                        case then::others:
                          for (int n = 11; n < 15; ++n) arena.deallocate(all[static_cast<std::size_t>(n)]);
                          return arena.deallocate(p);
                        case then::other_thread:
                          return std::thread{[&] { arena.deallocate(p); }}.join();
                        case then::flush:
                          arena.flush();
                          return arena.deallocate(p);
                        case then::sized:
                          return arena.deallocate(p, bytes);
                        case then::reallocate:
                          all[10] = arena.reallocate(p, 3 * bytes);
                          return;
                        case then::usable_size:
                          if (arena.usable_size(p) == 0) ::_exit(3);
                      }
                    }),
                    "stocked", faults::double_free);
    }
  }
}

TEST_CASE("what went back to the arena is not freed again, though its mark was written over", "[misuse]") {
  // One slot of each of many full slabs: some wait in the arena to be used again, others are in bins.
  for (const std::size_t bytes : {std::size_t{16}, std::size_t{256}, 2 * KiB}) {
    for (std::size_t n = 0; n < 12; ++n) {
      INFO("slot " << n << " of " << bytes << " bytes");
      require_fault(in_child([&](culprit& named) {
                      cached_arena arena{"written over"};
                      std::vector<void*> all(16 * (4096 * 4 / bytes));
                      for (void*& p : all) p = arena.allocate(bytes);
                      arena.flush();
                      std::vector<void*> freed;
                      for (std::size_t slab = 0; slab < 12; ++slab) freed.push_back(all[(slab + 1) * all.size() / 16]);
                      for (void* const p : freed) arena.deallocate(p);
                      arena.flush();
                      write_over_mark(freed[n]);
                      named = {&arena, freed[n]};
                      arena.deallocate(freed[n]);
                      ::_exit(3);  // it would be handed out twice
                    }),
                    "written over", faults::double_free);
    }
  }
}

TEST_CASE("a slot that was never allocated is not freed", "[misuse]") {
  // All that follows it in its slab: in stock, or free.
  for (const std::size_t bytes : {std::size_t{16}, std::size_t{48}, std::size_t{256}, 2 * KiB}) {
    for (std::size_t n = 1; n < 4096 / bytes || n < 4; ++n) {
      INFO("slot " << n << " of " << bytes << " bytes");
      require_fault(in_child([&](culprit& named) {
                      cached_arena arena{"neighbour"};
                      std::byte* const wrong = at_offset(arena.allocate(bytes), n * bytes);
                      named = {&arena, wrong};
                      arena.deallocate(wrong);
                      ::_exit(3);  // it is not enough that the arena notices when it gets the slot back
                    }),
                    "neighbour", faults::double_free);
    }
  }
}

TEST_CASE("the mark of what is in stock is never mistaken", "[misuse]") {
  // Whatever way an allocation takes to the program, it can be freed once.
  const auto how = in_child([](culprit&) {
    cached_arena arena{"innocent"};
    for (int round = 0; round < 50; ++round) {
      std::vector<void*> all;
      for (const std::size_t bytes : {std::size_t{16}, small_bytes, 8 * KiB, medium_bytes, 100 * KiB, 200 * KiB}) {
        for (int n = 0; n < 20; ++n) all.push_back(arena.allocate(bytes));
        for (int n = 0; n < 20; ++n) all.push_back(arena.try_allocate_zeroed(bytes));
      }
      // No stock has what is aligned to more than a page; but it may lie where something in stock was.
      for (int n = 0; n < 20; ++n) all.push_back(arena.allocate_at_least(12 * KiB, 8 * KiB).ptr);
      for (int n = 0; n < 20; ++n) all.push_back(arena.allocate(16 * KiB, 16 * KiB));
      for (int n = 0; n < 20; ++n) {
        // Zeroed as far as was asked for, and then as long as what stocks have.
        all.push_back(arena.try_allocate_zeroed(4, 8 * KiB));
        all.back() = arena.reallocate(all.back(), 12 * KiB, 8 * KiB);
      }
      for (std::size_t n = 0; n < all.size(); ++n) {
        if (n % 3 == 0) all[n] = arena.reallocate(all[n], 1 + n % 7 * 3000);  // often to where slots were, or shorter
      }
      for (void* const p : all) arena.deallocate(p);
      if (round % 5 == 0) arena.flush();
      if (round % 7 == 0) arena.trim();
    }
  });
  INFO(how.text);
  REQUIRE(how.signal == 0);
  REQUIRE(how.exit_code == 0);
}

TEST_CASE("what a short reallocation copies is not taken for the mark, or wiped with it", "[misuse]") {
  // The slot that it moves to bears the mark of its last time in stock where the copy does not reach.
  for (std::size_t bytes = 1; bytes <= 16; ++bytes) {
    const auto how = in_child([&](culprit&) {
      cached_arena arena{"moved"};
      std::vector<unsigned char*> all;
      for (int n = 0; n < 20000; ++n) all.push_back(static_cast<unsigned char*>(arena.allocate(16)));
      for (std::size_t n = 0; n < all.size(); ++n) {
        if (n % 16 != 0) arena.deallocate(all[n]);  // the arena is sparse: what is reallocated floats
      }
      arena.flush();
      for (std::size_t n = 0; n < all.size(); n += 16) {
        for (std::size_t at = 0; at < 16; ++at) all[n][at] = static_cast<unsigned char>(n / 16 + at);
        auto* const q = static_cast<unsigned char*>(arena.reallocate(all[n], bytes));
        for (std::size_t at = 0; at < bytes; ++at) {
          if (q[at] != static_cast<unsigned char>(n / 16 + at)) ::_exit(3);
        }
        all[n] = q;
      }
      for (std::size_t n = 0; n < all.size(); n += 16) arena.deallocate(all[n]);
    });
    INFO(bytes << " bytes: " << how.text);
    CHECK(how.signal == 0);
    CHECK(how.exit_code == 0);
  }
}
