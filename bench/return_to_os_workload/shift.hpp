// SPDX-License-Identifier: BSL-1.0
// The sizes that a program works with change: objects of 48 bytes up to 64 MiB, then nine tenths of all are freed, then
// objects of 128 bytes are allocated up to the same total, then the same with 320 bytes.
#pragma once

#include "stage.hpp"

namespace return_to_os {

template <class Memory>
void shift(stage<Memory>& s) noexcept {
  const std::size_t total = s.scaled(64 * MiB);
  object_list all{total / 48 + 1000};
  s.start();
  for (const std::size_t size : {48u, 128u, 320u}) {
    s.fill(
        all, total, [size](numbers&) { return size; }, 15);
    if (size == 320) s.point("peak");
    s.thin(all, 100, 10);
    s.dropped();
  }
  s.point("drop");
  s.idle(5);
  s.point("idle");
  s.light([](numbers&) { return std::size_t{320}; }, 50);
  s.point("light");
  s.drop_all(all);
  s.point("end");
}

}  // namespace return_to_os
