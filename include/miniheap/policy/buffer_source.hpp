// SPDX-License-Identifier: BSL-1.0
/// \file
/// A page source without an operating system.
#pragma once

#include <miniheap/detail/units.hpp>
#include <miniheap/policy/concepts.hpp>

#include <new>

namespace miniheap {

/// Hands out pages of one buffer that the caller owns: for programs without an OS, for shared memory, and for tests.
/// Free ranges are kept in a list in address order, each in its own first bytes; neighbours are joined at once.
/// O(free ranges) a call. Purging does nothing, as there is nobody to give pages back to.
class buffer_source {
 public:
  /// Uses the whole pages in `memory[0, bytes)`, which must outlive the arena. A buffer aligned to the size of a
  /// miniheap loses nothing to alignment.
  buffer_source(std::byte* memory, std::size_t bytes) noexcept {
    const auto first = detail::align_up(reinterpret_cast<std::uintptr_t>(memory), detail::page_bytes);
    const auto end = detail::align_down(reinterpret_cast<std::uintptr_t>(memory) + bytes, detail::page_bytes);
    if (end > first) give(first, end - first);
  }

  void* map(std::size_t bytes, std::size_t alignment) noexcept {
    for (range** link = &free_; *link != nullptr; link = &(*link)->next) {
      const std::uintptr_t begin = address(*link);
      const std::uintptr_t end = begin + (*link)->bytes;
      const std::uintptr_t start = detail::align_up(begin, alignment);
      if (start < begin || start > end || end - start < bytes) continue;
      range* const next = (*link)->next;
      *link = next;
      if (start + bytes < end) *link = ::new (pointer(start + bytes)) range{next, end - start - bytes};
      if (start > begin) *link = ::new (pointer(begin)) range{*link, start - begin};
      return pointer(start);
    }
    return nullptr;
  }

  bool unmap(void* p, std::size_t bytes) noexcept {
    give(reinterpret_cast<std::uintptr_t>(p), bytes);
    return true;
  }

  bool purge(void*, std::size_t) noexcept { return true; }

 private:
  struct range {
    range* next;        // at a higher address, with used pages between
    std::size_t bytes;  // whole pages
  };

  static std::uintptr_t address(const range* r) noexcept { return reinterpret_cast<std::uintptr_t>(r); }
  static void* pointer(std::uintptr_t a) noexcept { return reinterpret_cast<void*>(a); }

  void give(std::uintptr_t begin, std::size_t bytes) noexcept {
    range* before = nullptr;
    range* after = free_;
    while (after != nullptr && address(after) < begin) {
      before = after;
      after = after->next;
    }
    if (after != nullptr && begin + bytes == address(after)) {
      bytes += after->bytes;
      after = after->next;
    }
    if (before != nullptr && address(before) + before->bytes == begin) {
      before->bytes += bytes;
      before->next = after;
    } else {
      (before != nullptr ? before->next : free_) = ::new (pointer(begin)) range{after, bytes};
    }
  }

  range* free_ = nullptr;  // the lowest
};

static_assert(page_source<buffer_source>);

}  // namespace miniheap
