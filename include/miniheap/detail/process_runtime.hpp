// SPDX-License-Identifier: BSL-1.0
/// \file
/// The C++ runtime of whatever process a shared library with our `operator new` is loaded into, if there is one.
#pragma once

#include <miniheap/fault.hpp>
#include <miniheap/malloc_api.hpp>

#include <dlfcn.h>

namespace miniheap::detail {

// A shared library that is preloaded into a C program must not load the C++ runtime, which takes 1.5 MiB; in a C++
// program it must use the program's. So all that it needs of the runtime is a weak reference, to be found or not when
// the library is loaded. Compilers make the ones below by themselves, for code that exceptions pass through.
#if defined(__PIC__) && !defined(__PIE__)
asm(".weak __gxx_personality_v0\n.weak __cxa_begin_catch\n.weak __cxa_end_catch\n.weak __cxa_call_terminate\n"
    ".weak _Unwind_Resume\n.weak _ZSt9terminatev");

/// The functions of the runtime that are called by name, under names of our own.
extern "C" {
[[gnu::weak]] std::new_handler miniheap_get_new_handler() noexcept __asm__("_ZSt15get_new_handlerv");
[[gnu::weak]] void miniheap_throw_bad_alloc() __asm__("_ZSt17__throw_bad_allocv");
}

/// As `linked_runtime`, found while the process is there.
struct process_runtime {
  static std::new_handler new_handler() noexcept {
    auto* const find = loaded(&miniheap_get_new_handler, "_ZSt15get_new_handlerv");
    return find != nullptr ? find() : nullptr;
  }

  [[noreturn]] static void throw_bad_alloc(std::size_t bytes) {
    if (auto* const throw_it = loaded(&miniheap_throw_bad_alloc, "_ZSt17__throw_bad_allocv")) throw_it();
    text_line line;
    line << "miniheap: operator new: no memory for " << bytes << " bytes, and no C++ runtime to throw std::bad_alloc";
    write_line(line);
    std::abort();
  }

 private:
  /// `linked` where there is one, else what a runtime offers that came with a plug-in. It allocates, but nobody gets
  /// here for want of some hundred bytes.
  template <class Function>
  static Function* loaded(Function* linked, const char* symbol) noexcept {
    if (linked != nullptr) return linked;
    for (const char* const name : {"libstdc++.so.6", "libc++.so.1"}) {
      void* const library = ::dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
      void* const found = library != nullptr ? ::dlsym(library, symbol) : nullptr;
      if (found != nullptr) return reinterpret_cast<Function*>(found);
    }
    return nullptr;
  }
};
#else
using process_runtime = linked_runtime;
#endif

}  // namespace miniheap::detail
