// SPDX-License-Identifier: BSL-1.0
#include "faults/workload.hpp"

#include <algorithm>
#include <exception>
#include <new>
#include <thread>
#include <vector>

namespace faults {

void workload::run(int miniheaps) {
  for (std::size_t n = 0; n < 250; ++n) allocate(16 + n % 500);
  for (int n = 0; n < miniheaps; ++n) allocate(medium_bytes);
  for (std::size_t n = 0; n < 30; ++n) allocate(2000 + 200 * n);  // slabs of several pages
  for (int n = 0; n < 6; ++n) allocate(large_bytes);
  resize(group::large, 2 * large_bytes);
  resize(group::large, large_bytes - 4 * KiB);
  resize(group::large, 3 * large_bytes);
  free_every(3);
  trim();
  verify_contents();
  for (std::size_t n = 0; n < 50; ++n) allocate(100 + 37 * n);
  if (arena_.kind().is_shared) in_another_thread();
  free_every(2);
  resize(group::small, 300);
  allocate(large_bytes);
  free_every(1, group::large);
  allocate(2 * large_bytes, 64 * KiB);
  allocate(4 * large_bytes);  // what is idle grows
  free_every(2, group::large);
  trim();
  verify_contents();
  free_every(1);
  trim();
  for (std::size_t n = 0; n < 20; ++n) allocate(4096 - 16 * n);
  free_every(1);
  trim();
}

void workload::end() {
  arena_.release();
  shadow_.clear();
  verify();
}

/// In turn by each of the functions that allocate.
void* workload::try_any(std::size_t bytes, std::size_t alignment) {
  switch (++count_ % 4) {
    case 0:
      return arena_.try_allocate(bytes, alignment);
    case 1: {
      void* const p = arena_.try_allocate_zeroed(bytes, alignment);
      const auto* const first = static_cast<const std::byte*>(p);
      const std::size_t looked_at = std::min(bytes, 8 * KiB);
      model::expect(p == nullptr || std::count(first, first + looked_at, std::byte{0}) == std::ptrdiff_t(looked_at),
                    "what is to be zero is");
      return p;
    }
    default:
      try {
        return count_ % 4 == 2 ? arena_.allocate(bytes, alignment) : arena_.allocate_at_least(bytes, alignment).ptr;
      } catch (const std::bad_alloc&) {
        return nullptr;
      }
  }
}

void workload::allocate(std::size_t bytes, std::size_t alignment) {
  void* const p = try_any(bytes, alignment);
  p == nullptr ? refused() : shadow_.add(p, bytes, alignment);
}

/// Looks closely at first, and less often where nothing is served any more.
void workload::refused() {
  if (++refusals_ > 2 && refusals_ % 64 != 0) return;
  verify();
  verify_contents();
}

void workload::resize(group which, std::size_t bytes) {
  std::vector<std::byte*> chosen;
  for (std::size_t n = 0; n < shadow_.size(); ++n) {
    if (is_in(which, shadow_.at(n))) chosen.push_back(shadow_.at(n));
  }
  for (std::byte* const p : chosen) {
    void* const q = arena_.try_reallocate(p, bytes, 16);
    if (q != nullptr) {
      shadow_.move(p, q, bytes, 16);
    } else {
      shadow_.verify(p);
      refused();
    }
  }
  verify();
}

bool workload::is_in(group which, const std::byte* p) const {
  const std::size_t bytes = shadow_[p].bytes;
  return which == group::all || (which == group::small ? bytes < 1000 : bytes > medium_bytes);
}

void workload::free_every(std::size_t n, group which) {
  std::vector<std::byte*> chosen;
  std::size_t i = 0;
  for (std::size_t place = 0; place < shadow_.size(); ++place) {
    if (is_in(which, shadow_.at(place)) && ++i % n == 0) chosen.push_back(shadow_.at(place));
  }
  for (std::byte* const p : chosen) {
    const model::allocation a = shadow_[p];
    shadow_.remove(p);
    ++count_ % 2 == 0 ? arena_.deallocate(p) : arena_.deallocate(p, a.bytes, a.alignment);
  }
  verify();
}

void workload::trim() {
  arena_.trim();
  verify();
}

void workload::verify() {
  shadow_.compare_check();
  shadow_.compare_stats();
}

/// Those that are freed or resized are verified anyway.
void workload::verify_contents() {
  for (std::size_t n = 0; n < shadow_.size(); ++n) shadow_.verify(shadow_.at(n));
}

/// Frees what this one allocated, allocates, and ends, while this one waits.
void workload::in_another_thread() {
  std::exception_ptr thrown;
  std::thread{[&] {
    try {
      free_every(5);
      for (std::size_t n = 0; n < 100; ++n) allocate(48 + 16 * (n % 40));
      allocate(large_bytes);
    } catch (...) {
      thrown = std::current_exception();
    }
  }}.join();
  if (thrown) std::rethrow_exception(thrown);
  verify();
}

}  // namespace faults
