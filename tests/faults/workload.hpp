// SPDX-License-Identifier: BSL-1.0
// A workload that makes an arena call its page source from everywhere it does, and that goes on when a call fails.
#pragma once

#include <miniheap/arena.hpp>

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>

namespace faults {

using miniheap::KiB;

inline constexpr miniheap::arena_config config{.miniheap_bytes = 64 * KiB, .reserve_ceiling_bytes = 64 * KiB};
inline constexpr std::size_t medium_bytes = 32 * KiB;  // two do not fit into a miniheap
inline constexpr std::size_t large_bytes = 160 * KiB;

template <class Arena>
class workload {
 public:
  explicit workload(Arena& arena) : arena_{arena} {}

  /// Calls the page source for: miniheaps, descriptors, two sizes of the index, large allocations and their records,
  /// purging, and remapping; and gives all of it back.
  void run(int miniheaps) {
    for (std::size_t n = 0; n < 300; ++n) allocate(16 + n % 500);
    for (int n = 0; n < miniheaps; ++n) allocate(medium_bytes);
    for (int n = 0; n < 6; ++n) allocate(large_bytes);
    resize_all_large(2 * large_bytes);
    resize_all_large(large_bytes - 4 * KiB);
    resize_all_large(3 * large_bytes);
    free_every(3);
    trim();
    for (std::size_t n = 0; n < 50; ++n) allocate(100 + 37 * n);
    free_every(2);
    allocate(large_bytes);
    trim();
    free_every(1);
    trim();
    verify();
  }

  /// Gives everything back; a second time, as the first may have failed.
  void end() {
    arena_.release();
    verify_arena();
    live_.clear();
  }

  [[nodiscard]] std::uint64_t refusals() const noexcept { return refusals_; }

 private:
  struct allocation {
    std::size_t bytes;
    unsigned char pattern;
  };

  static void expect(bool holds, const char* promise) {
    if (!holds) throw std::runtime_error{promise};
  }

  void allocate(std::size_t bytes) {
    void* p = nullptr;
    if (++count_ % 2 == 0) {
      p = arena_.try_allocate(bytes);
    } else {
      try {
        p = arena_.allocate(bytes);
      } catch (const std::bad_alloc&) {
      }
    }
    if (p == nullptr) return refused();
    write(static_cast<unsigned char*>(p), {bytes, static_cast<unsigned char>(count_ | 1)});
  }

  void write(unsigned char* p, allocation a) {
    p[0] = p[a.bytes - 1] = a.pattern;
    expect(live_.emplace(p, a).second, "an allocation has an address of its own");
  }

  void verify(const unsigned char* p, allocation a) const {
    expect(p[0] == a.pattern && p[a.bytes - 1] == a.pattern, "an allocation keeps its bytes");
    expect(arena_.usable_size(p) >= a.bytes, "an allocation keeps its size");
  }

  void refused() {
    ++refusals_;
    verify();
  }

  void resize_all_large(std::size_t bytes) {
    std::map<unsigned char*, allocation> before;
    before.swap(live_);
    for (auto [p, a] : before) {
      if (a.bytes <= medium_bytes) {
        live_.emplace(p, a);
        continue;
      }
      auto* const q = static_cast<unsigned char*>(arena_.try_reallocate(p, bytes));
      if (q == nullptr) {
        verify(p, a);
        live_.emplace(p, a);
        ++refusals_;
        continue;
      }
      expect(q[0] == a.pattern && (bytes < a.bytes || q[a.bytes - 1] == a.pattern), "what is moved keeps its bytes");
      write(q, {bytes, a.pattern});
    }
    verify();
  }

  void free_every(std::size_t n) {
    std::size_t i = 0;
    for (auto it = live_.begin(); it != live_.end();) {
      if (++i % n != 0) {
        ++it;
        continue;
      }
      verify(it->first, it->second);
      arena_.deallocate(it->first);
      it = live_.erase(it);
    }
    verify();
  }

  void trim() {
    arena_.trim();
    verify();
  }

  void verify() const {
    verify_arena();
    for (const auto& [p, a] : live_) verify(p, a);
    const miniheap::arena_stats s = arena_.stats();
    expect(s.allocations == live_.size(), "live allocations are counted");
    expect(s.mapped_bytes == s.live_bytes + s.free_slot_bytes + s.slab_waste_bytes + s.dirty_page_bytes +
                                 s.clean_page_bytes + s.head_bytes + s.metadata_bytes,
           "the bytes of the statistics add up");
  }

  void verify_arena() const {
    if (const miniheap::check_result result = arena_.check(); !result) throw std::runtime_error{result.broken};
  }

  Arena& arena_;
  std::map<unsigned char*, allocation> live_;
  unsigned count_ = 0;
  std::uint64_t refusals_ = 0;
};

}  // namespace faults
