// SPDX-License-Identifier: BSL-1.0
/// \file
/// Misuse stops the program with one line on stderr. Nothing here allocates or locks.
#pragma once

#include <miniheap/detail/text.hpp>

#include <unistd.h>
#include <cstdlib>

namespace miniheap::detail {

/// Writes `line` and a newline to stderr. A line that cannot be written is lost: there is nobody to tell.
inline void write_line(text_line& line) noexcept {
  line << "\n";
  const std::string_view text = line.view();
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;
}

/// How each line about an arena begins.
inline text_line about_arena(const char* name, const void* arena) noexcept {
  text_line line;
  line << "miniheap: arena '" << shortened(name) << "' (" << arena << "): ";
  return line;
}

/// The faults that are reported.
namespace faults {
inline constexpr const char* double_free = "double free";
inline constexpr const char* foreign = "invalid free: not a pointer of this arena";
inline constexpr const char* interior = "invalid free: not the start of an allocation";
inline constexpr const char* wrong_size = "sized free: wrong size";
inline constexpr const char* wrong_alignment = "sized free: wrong alignment";
inline constexpr const char* overflow = "overflow: written behind the end of an allocation";
inline constexpr const char* write_after_free = "write after free: free memory was changed";
inline constexpr const char* reentrant = "reentrant call from a page source or a walk visitor";
}  // namespace faults

/// Who a message speaks of.
struct arena_identity {
  const char* name;
  const void* address;

  /// Ends the program: `miniheap: arena 'NAME' (ADDRESS): FAULT: POINTER (N bytes)`, then `abort()`.
  [[noreturn, gnu::cold, gnu::noinline]] void stop(const char* fault, const void* p,
                                                   std::size_t bytes = 0) const noexcept {
    text_line line = about_arena(name, address);
    line << fault << ": " << p;
    if (bytes != 0) line << " (" << bytes << " bytes)";
    write_line(line);
    std::abort();
  }
};

}  // namespace miniheap::detail
