// SPDX-License-Identifier: BSL-1.0
// The two kinds of memory that are compared. Each has: an allocator, its counters, a way to give back what is unused,
// and a map of itself where it has one.
#pragma once

#include <malloc.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include <miniheap/miniheap.hpp>

namespace word_index {

struct usage {
  std::size_t live_bytes = 0;    // held by the program
  std::size_t mapped_bytes = 0;  // held by the allocator: address space with or without pages behind it
};

/// std::allocator over glibc's malloc, which counts for the whole process: so what was there before is taken off.
class malloc_memory {
 public:
  using allocator_type = std::allocator<char>;

  static constexpr const char* title = "std::allocator (glibc's malloc)";
  static constexpr const char* trim_call = "malloc_trim(0)";

  allocator_type allocator() const noexcept { return {}; }

  usage used() const noexcept {
    const auto above = [](std::size_t now, std::size_t before) { return now > before ? now - before : 0; };
    const struct mallinfo2 now = ::mallinfo2();
    return {above(now.uordblks + now.hblkhd, before_.uordblks + before_.hblkhd),
            above(now.arena + now.hblkhd, before_.arena + before_.hblkhd)};
  }

  void trim() noexcept { ::malloc_trim(0); }
  std::string map() const { return {}; }  // glibc has none

 private:
  struct mallinfo2 before_ = ::mallinfo2();
};

// An arena type of one's own keeps symbols short and error messages readable.
struct index_arena : miniheap::miniheap_arena<> {
  using miniheap_arena::miniheap_arena;
};

class arena_memory {
 public:
  using allocator_type = miniheap::miniheap_allocator<char, index_arena>;

  static constexpr const char* title = "miniheap_allocator over one miniheap_arena<>";
  static constexpr const char* trim_call = "arena.trim()";

  allocator_type allocator() noexcept { return allocator_type(arena_); }

  usage used() const noexcept {
    const auto stats = arena_.stats();
    return {stats.live_bytes, stats.mapped_bytes};
  }

  void trim() noexcept { arena_.trim(); }

  /// A picture of each miniheap: the part of a dump below its counters, which the table already shows. The line that
  /// explains the characters comes first.
  std::string map() const {
    std::string text;
    text.reserve(16 * miniheap::KiB);
    arena_.dump([&](std::string_view piece) { text += piece; });
    const auto legend = text.find("each character");
    return legend == std::string::npos ? text : text.substr(text.rfind('\n', legend) + 1);
  }

 private:
  index_arena arena_{"word_index"};
};

}  // namespace word_index
