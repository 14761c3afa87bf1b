// SPDX-License-Identifier: BSL-1.0
/// \file
/// The page source of the operating system. The ones that wrap another are in source_wrappers.hpp, the one without an
/// operating system in buffer_source.hpp.
#pragma once

#include <miniheap/detail/units.hpp>
#include <miniheap/policy/concepts.hpp>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace miniheap {

/// Anonymous private memory from the kernel, at addresses of the kernel's choice.
class mmap_source {
 public:
  static constexpr bool maps_zeroed = true;

  /// O(1); one system call when the kernel's choice happens to be aligned, up to four otherwise.
  void* map(std::size_t bytes, std::size_t alignment) noexcept {
    void* const p = map_anywhere(bytes);
    if (p == nullptr || is_aligned(p, alignment)) return p;
    if (!unmap(p, bytes)) return nullptr;
    return map_and_cut(bytes, alignment);
  }

  bool unmap(void* p, std::size_t bytes) noexcept { return ::munmap(p, bytes) == 0; }

  bool purge(void* p, std::size_t bytes) noexcept { return ::madvise(p, bytes, MADV_DONTNEED) == 0; }

  /// One call for up to 1024 rows, since Linux 6.15; earlier ones do none of them.
  std::size_t purge_rows([[maybe_unused]] const page_row* rows, [[maybe_unused]] std::size_t count) noexcept {
    std::size_t done = 0;
#ifdef SYS_process_madvise
    constexpr int this_process = -10000;     // PIDFD_SELF
    constexpr std::size_t most_rows = 1024;  // UIO_MAXIOV
    static_assert(sizeof(page_row) == sizeof(::iovec) && offsetof(page_row, bytes) == offsetof(::iovec, iov_len),
                  "rows are what the kernel reads");
    while (done < count) {
      const std::size_t wanted = detail::smaller(count - done, most_rows);
      std::size_t bytes = 0;
      for (std::size_t n = 0; n < wanted; ++n) bytes += rows[done + n].bytes;
      const long purged_bytes = ::syscall(SYS_process_madvise, this_process, rows + done, wanted, MADV_DONTNEED, 0);
      if (purged_bytes != static_cast<long>(bytes)) break;  // those that it did anyway are purged twice
      done += wanted;
    }
#endif
    return done;
  }

  /// A page fault costs as much as populating ten pages or more in one call. Since Linux 5.14; earlier ones do nothing.
  void populate(void* p, std::size_t bytes) noexcept {
#ifdef MADV_POPULATE_WRITE
    ::madvise(p, bytes, MADV_POPULATE_WRITE);
#endif
  }

  void prefer_huge_pages(void* p, std::size_t bytes) noexcept { ::madvise(p, bytes, MADV_HUGEPAGE); }
  void prefer_small_pages(void* p, std::size_t bytes) noexcept { ::madvise(p, bytes, MADV_NOHUGEPAGE); }

  bool protect(void* p, std::size_t bytes) noexcept { return ::mprotect(p, bytes, PROT_NONE) == 0; }
  bool unprotect(void* p, std::size_t bytes) noexcept { return ::mprotect(p, bytes, PROT_READ | PROT_WRITE) == 0; }

  /// Moves pages, not bytes: in place where the neighbouring addresses are free, else to a place with free addresses
  /// behind it, so that what grows step by step seldom moves. Copies where the pages are several mappings to the
  /// kernel, or are to be aligned to more than a page.
  void* remap(void* p, std::size_t old_bytes, std::size_t new_bytes, std::size_t alignment) noexcept {
    if (::mremap(p, old_bytes, new_bytes, 0) != MAP_FAILED) return p;
    if (errno == EFAULT || alignment > detail::page_bytes) return copy(p, old_bytes, new_bytes, alignment);
    const std::size_t room_bytes = detail::align_up(new_bytes / 2, detail::page_bytes);
    void* q = ::mremap(p, old_bytes, new_bytes + room_bytes, MREMAP_MAYMOVE);
    if (q != MAP_FAILED) {
      ::munmap(static_cast<std::byte*>(q) + new_bytes, room_bytes);  // if it stays, it is addresses without memory
      return q;
    }
    q = ::mremap(p, old_bytes, new_bytes, MREMAP_MAYMOVE);
    return q != MAP_FAILED ? q : nullptr;
  }

 private:
  static bool is_aligned(const void* p, std::size_t alignment) noexcept {
    return (reinterpret_cast<std::uintptr_t>(p) & (alignment - 1)) == 0;
  }

  static void* map_anywhere(std::size_t bytes) noexcept {
    void* const p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? nullptr : p;
  }

  void* copy(void* p, std::size_t old_bytes, std::size_t new_bytes, std::size_t alignment) noexcept {
    void* const target = map(new_bytes, alignment);
    if (target == nullptr) return nullptr;
    std::memcpy(target, p, old_bytes < new_bytes ? old_bytes : new_bytes);
    if (unmap(p, old_bytes)) return target;
    unmap(target, new_bytes);
    return nullptr;
  }

  /// Maps `alignment` bytes more than needed and gives back what is before and behind the aligned part.
  void* map_and_cut(std::size_t bytes, std::size_t alignment) noexcept {
    std::size_t wide_bytes = 0;
    if (__builtin_add_overflow(bytes, alignment, &wide_bytes)) return nullptr;
    auto* const wide = static_cast<std::byte*>(map_anywhere(wide_bytes));
    if (wide == nullptr) return nullptr;
    const std::size_t before = (alignment - reinterpret_cast<std::uintptr_t>(wide)) & (alignment - 1);
    const std::size_t behind = alignment - before;
    // The kernel refuses to split a mapping when there are too many of them; then it can only take all of it back. What
    // it took already may be somebody else's by now.
    if (before != 0 && !unmap(wide, before)) {
      unmap(wide, wide_bytes);
      return nullptr;
    }
    if (!unmap(wide + before + bytes, behind)) {
      unmap(wide + before, bytes + behind);
      return nullptr;
    }
    return wide + before;
  }
};

static_assert(remapping_page_source<mmap_source> && hinted_page_source<mmap_source> &&
              row_purging_page_source<mmap_source> && protecting_page_source<mmap_source>);

}  // namespace miniheap
