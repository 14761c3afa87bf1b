// SPDX-License-Identifier: BSL-1.0
// What it costs to choose among 100,000 miniheaps, against 100. The miniheaps are tiny and of all occupancies; each
// allocation measured enters the slow path: a span of its own, or slots of which four fill a slab. Prints lines of
// tab-separated fields for report.py: what, value, unit, target.

#include "numbers.hpp"

#include <miniheap/miniheap.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <utility>
#include <vector>

namespace {

using miniheap::KiB;

constexpr std::size_t miniheap_bytes = 64 * KiB;
constexpr std::size_t span_bytes = 12 * KiB;  // above the small sizes; five fill a miniheap of 15 usable pages
constexpr std::size_t spans_each = 5;
constexpr std::size_t slot_bytes = 1 * KiB;  // four fill a slab of one page
constexpr std::size_t few = 100;
constexpr std::size_t many = 100'000;

// Hands out pieces of one mapping, since 100,000 mappings are more than the kernel allows by default. O(1): it must not
// be what is measured. Miniheaps that come back are used again, anything else is forgotten.
class carving_source {
 public:
  explicit carving_source(std::size_t miniheaps) {
    const std::size_t bytes = (miniheaps + miniheaps / 4 + 1000) * miniheap_bytes;
    void* const memory =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory != MAP_FAILED) {
      next_ = reinterpret_cast<std::uintptr_t>(memory);
      end_ = next_ + bytes;
    }
  }

  void* map(std::size_t bytes, std::size_t alignment) noexcept {
    if (bytes == miniheap_bytes && free_ != nullptr) {
      return std::exchange(free_, *static_cast<void**>(free_));
    }
    const std::uintptr_t start = (next_ + alignment - 1) & ~(alignment - 1);
    if (start > end_ || bytes > end_ - start) {
      return nullptr;
    }
    next_ = start + bytes;
    return reinterpret_cast<void*>(start);
  }

  bool unmap(void* p, std::size_t bytes) noexcept {
    if (bytes == miniheap_bytes) {
      *static_cast<void**>(p) = std::exchange(free_, p);
    }
    return true;
  }

  bool purge(void*, std::size_t) noexcept { return true; }

 private:
  std::uintptr_t next_ = 0;
  std::uintptr_t end_ = 0;
  void* free_ = nullptr;  // each holds the next in its first bytes
};

using source = miniheap::counting_source<carving_source>;
using arena = miniheap::miniheap_arena<source, miniheap::no_lock, miniheap::first_fit, miniheap::fullest_first,
                                       miniheap::arena_config{.miniheap_bytes = miniheap_bytes}>;

using steady = std::chrono::steady_clock;

double nanoseconds(steady::duration d) { return std::chrono::duration<double, std::nano>(d).count(); }

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// An arena with many miniheaps, each of which has from one to five spans live.
class subject {
 public:
  explicit subject(std::size_t miniheaps) : arena_{source{carving_source{miniheaps}}, "selection"} {
    std::vector<void*> all(miniheaps * spans_each);
    for (void*& p : all) {
      p = arena_.allocate(span_bytes);
    }
    workload::numbers random{1};
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i % spans_each == 0) {
        continue;  // one in each miniheap stays for good
      }
      if (random.below(2) != 0) {
        arena_.deallocate(all[i], span_bytes);
      } else {
        live_.push_back(all[i]);
      }
    }
  }

  // Nanoseconds for each selection in a series of `taken.size() / per_selection`, and for undoing it in reverse order.
  template <std::size_t Bytes, std::size_t PerSelection, std::size_t Count>
  void series(std::array<void*, Count>& taken, std::vector<double>& allocating, std::vector<double>& freeing) {
    const auto start = steady::now();
    for (void*& p : taken) {
      p = arena_.allocate(Bytes);
    }
    const auto between = steady::now();
    for (std::size_t i = taken.size(); i-- > 0;) {
      arena_.deallocate(taken[i], Bytes);
    }
    const auto end = steady::now();
    allocating.push_back(nanoseconds(between - start) * PerSelection / double{Count});
    freeing.push_back(nanoseconds(end - between) * PerSelection / double{Count});
  }

  // Nanoseconds for each replacement of a random span: mostly of loading what describes the miniheap it was in.
  double replacements(std::size_t count) {
    const auto start = steady::now();
    for (std::size_t i = 0; i < count; ++i) {
      void*& p = live_[random_.below(live_.size())];
      arena_.deallocate(p, span_bytes);
      p = arena_.allocate(span_bytes);
    }
    return nanoseconds(steady::now() - start) / static_cast<double>(count);
  }

  [[nodiscard]] std::size_t miniheaps() const { return arena_.stats().miniheaps; }
  [[nodiscard]] std::size_t map_calls() const { return arena_.source().counts().map_calls; }

 private:
  arena arena_;
  std::vector<void*> live_;
  workload::numbers random_{7};
};

struct results {
  std::vector<double> span, span_free, slab, slab_free, random;
};

void print(const char* what, const std::vector<double>& with_few, const std::vector<double>& with_many,
           const char* target) {
  std::printf("%s, %zu miniheaps\t%.1f\tns\t\n", what, few, median(with_few));
  std::printf("%s, %zu miniheaps\t%.1f\tns\t\n", what, many, median(with_many));
  std::printf("  ratio\t%.2f\t\t%s\n", median(with_many) / median(with_few), target);
}

}  // namespace

int main() {
  subject small{few};
  subject large{many};
  std::printf("selection among %zu and %zu miniheaps of 64 KiB; medians of 2000 series of 64 allocations each\n",
              small.miniheaps(), large.miniheaps());
  const std::size_t maps_before = small.map_calls() + large.map_calls();
  std::array<results, 2> r;
  static std::array<void*, 64> taken;  // no more than the freed spans of 100 miniheaps can serve
  for (int round = 0; round < 2000; ++round) {
    small.series<span_bytes, 1>(taken, r[0].span, r[0].span_free);
    large.series<span_bytes, 1>(taken, r[1].span, r[1].span_free);
    small.series<slot_bytes, 4>(taken, r[0].slab, r[0].slab_free);
    large.series<slot_bytes, 4>(taken, r[1].slab, r[1].slab_free);
  }
  const std::size_t maps_during = small.map_calls() + large.map_calls() - maps_before;
  for (int round = 0; round < 20; ++round) {
    r[0].random.push_back(small.replacements(20'000));
    r[1].random.push_back(large.replacements(20'000));
  }
  print("a span taken", r[0].span, r[1].span, "2");
  print("... and given back", r[0].span_free, r[1].span_free, "");
  print("a slab found and filled, four slots", r[0].slab, r[1].slab, "2");
  print("... and emptied", r[0].slab_free, r[1].slab_free, "");
  print("a random span replaced (what describes its miniheap is cold)", r[0].random, r[1].random, "");
  std::printf("calls of map while measuring selections\t%zu\t\t0\n", maps_during);
}
