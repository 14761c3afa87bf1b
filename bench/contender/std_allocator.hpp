// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "concept.hpp"

#include <cstddef>
#include <memory>

namespace bench {

// operator new of whatever malloc this program is linked with: glibc's, or a library that replaces it.
struct std_allocator : ordinary {
  static constexpr const char* name = "std_allocator";

  explicit std_allocator(std::size_t) noexcept {}

  template <class T>
  std::allocator<T> make() noexcept {
    return {};
  }
};

static_assert(contender<std_allocator>);

}  // namespace bench
