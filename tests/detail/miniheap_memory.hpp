// SPDX-License-Identifier: BSL-1.0
// The memory of miniheaps without an arena around them.
#pragma once

#include <miniheap/config.hpp>
#include <miniheap/detail/page_map.hpp>

#include <cstdlib>
#include <cstring>
#include <memory>

/// `count` neighbouring miniheaps, aligned to their size, filled with rubbish or with zeros.
template <std::size_t MiniheapBytes = 64 * miniheap::KiB>
class miniheap_memory {
 public:
  using shape = miniheap::detail::geometry<MiniheapBytes>;

  explicit miniheap_memory(std::size_t count = 1, int filling = 0)
      : memory_{std::aligned_alloc(MiniheapBytes, count * MiniheapBytes), &std::free} {
    std::memset(memory_.get(), filling, count * MiniheapBytes);
  }

  std::byte* at(std::size_t index) const noexcept {
    return static_cast<std::byte*>(memory_.get()) + index * MiniheapBytes;
  }
  miniheap::detail::page_entry* map(std::size_t index = 0) const noexcept {
    return reinterpret_cast<miniheap::detail::page_entry*>(at(index));
  }

 private:
  std::unique_ptr<void, decltype(&std::free)> memory_;
};
