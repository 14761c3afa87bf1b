// SPDX-License-Identifier: BSL-1.0
/// \file
/// Misuse stops the program with one line on stderr, or calls a handler of the program's. Nothing here allocates or
/// locks.
#pragma once

#include <miniheap/detail/text.hpp>
#include <miniheap/detail/units.hpp>

#include <unistd.h>
#include <cstdlib>

namespace miniheap {

/// What was wrong, for a handler of the program's.
struct fault_info {
  const char* arena_name;
  const void* arena;
  const char* fault;
  const void* pointer;   ///< what was given to the arena, or what was found changed
  std::size_t bytes;     ///< the size class of the allocation, or the size that is wrong; 0: unknown
  const void* miniheap;  ///< that the pointer lies in, or nullptr
};

/// Gets the fault and the line that would be written, without the end of the line. It may be called with locks of the
/// arena held: it must not use the arena. When it returns, the program is aborted.
using fault_handler = void (*)(const fault_info& fault, std::string_view line) noexcept;

namespace detail {
inline constinit fault_handler handler_of_faults = nullptr;
}

/// Lets `handler` be called instead of writing a line to stderr, in all arenas of the program or shared object;
/// nullptr: as before. Returns the one before. Any thread may call it.
inline fault_handler set_fault_handler(fault_handler handler) noexcept {
  return __atomic_exchange_n(&detail::handler_of_faults, handler, __ATOMIC_ACQ_REL);
}

}  // namespace miniheap

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
  std::size_t miniheap_bytes = 0;

  /// Ends the program: `miniheap: arena 'NAME' (ADDRESS): FAULT: POINTER (N bytes)`, then `abort()`; or the program's
  /// own handler does. N is the size class, or what is wrong.
  [[noreturn, gnu::cold, gnu::noinline]] void stop(const char* fault, const void* p,
                                                   std::size_t bytes = 0) const noexcept {
    report({name, address, fault, p, bytes, nullptr});
  }

  /// The same of a pointer into a miniheap, which is named, too: `(N bytes, miniheap ADDRESS)`.
  [[noreturn, gnu::cold, gnu::noinline]] void stop_in_miniheap(const char* fault, const void* p,
                                                               std::size_t bytes = 0) const noexcept {
    const std::uintptr_t miniheap = align_down(address_of(p), miniheap_bytes);
    report({name, address, fault, p, bytes, reinterpret_cast<const void*>(miniheap)});
  }

 private:
  [[noreturn]] static void report(const fault_info& what) noexcept {
    text_line line = about_arena(what.arena_name, what.arena);
    line << what.fault << ": " << what.pointer;
    if (what.bytes != 0) line << " (" << what.bytes << " bytes";
    if (what.miniheap != nullptr) line << (what.bytes != 0 ? ", " : " (") << "miniheap " << what.miniheap;
    if (what.bytes != 0 || what.miniheap != nullptr) line << ")";
    if (const fault_handler handler = __atomic_load_n(&handler_of_faults, __ATOMIC_ACQUIRE)) {
      handler(what, line.view());
    } else {
      write_line(line);
    }
    std::abort();
  }
};

}  // namespace miniheap::detail
