// SPDX-License-Identifier: BSL-1.0
// 256 MiB of objects of 16 to 1024 bytes, as many of each doubling; a share of them survives at random.
#pragma once

#include "stage.hpp"

namespace return_to_os {

/// As many sizes in each doubling.
inline std::size_t small_size(numbers& random) noexcept { return log_size(random, 16, 6); }

template <class Memory, std::size_t PerMille>
void survivors(stage<Memory>& s) noexcept {
  object_list all{s.scaled(1'150'000) + 1000};
  s.start();
  s.fill(all, s.scaled(256 * MiB), small_size);
  s.point("peak");
  s.thin(all, PerMille);
  s.dropped();
  s.point("drop");
  s.light(small_size, 50);
  s.point("light");
  s.drop_all(all);
  s.point("end");
}

/// One in a hundred survives, and then somebody waits: for allocators that look at the clock before they give back.
template <class Memory>
void patience(stage<Memory>& s) noexcept {
  object_list all{s.scaled(1'150'000) + 1000};
  s.start();
  s.fill(all, s.scaled(256 * MiB), small_size);
  s.thin(all, 10);
  s.dropped();
  s.point("drop");
  s.light(small_size, 100);
  s.point("1 s");
  s.light(small_size, 400);
  s.point("5 s");
  s.light(small_size, 1000);
  s.point("15 s");
  s.drop_all(all);
  s.point("end");
}

}  // namespace return_to_os
