// SPDX-License-Identifier: BSL-1.0
// A shared object that allocates in its constructor, and hands out and takes back memory. It is built twice, with
// hidden visibility, and loaded by plug_ins.cpp.
#include <cstddef>
#include <new>
#include <string>
#include <vector>

#define PLUG_IN_EXPORT extern "C" [[gnu::visibility("default")]]

namespace {

struct constructed : std::vector<std::string> {
  constructed() : vector{std::string(100, 'x'), std::string(5000, 'y')} { emplace_back(300000, 'z'); }
} loaded;

}  // namespace

PLUG_IN_EXPORT int plug_in_is_sound() {
  loaded.push_back(loaded.back());
  return loaded.size() >= 4 && loaded[0] == std::string(100, 'x') && loaded[2] == std::string(300000, 'z');
}

PLUG_IN_EXPORT void* plug_in_make(std::size_t n) { return new std::vector<std::string>(n, std::string(n, 'p')); }

PLUG_IN_EXPORT int plug_in_take(void* made, std::size_t n) {
  auto* const strings = static_cast<std::vector<std::string>*>(made);
  const bool is_sound = *strings == std::vector<std::string>(n, std::string(n, 'p'));
  strings->emplace_back(n + 100, 'q');
  delete strings;
  return is_sound;
}

/// Whether operator new throws what the runtime that came with this plug-in can catch.
PLUG_IN_EXPORT int plug_in_catches_bad_alloc(std::size_t bytes) {
  try {
    ::operator delete(::operator new(bytes));
  } catch (const std::bad_alloc&) {
    return 1;
  }
  return 0;
}

/// Whether the handler is found that the program sets through this plug-in's runtime.
PLUG_IN_EXPORT int plug_in_calls_handler(std::size_t bytes) {
  static int calls = 0;
  std::set_new_handler([] {
    if (++calls == 2) std::set_new_handler(nullptr);
  });
  return plug_in_catches_bad_alloc(bytes) == 1 && calls == 2;
}
