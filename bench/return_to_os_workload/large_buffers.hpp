// SPDX-License-Identifier: BSL-1.0
// Buffers of 128 KiB to 16 MiB, 384 MiB of them, of which one in five survives; then buffers come and go.
#pragma once

#include "stage.hpp"

namespace return_to_os {

template <class Memory>
void large_buffers(stage<Memory>& s) noexcept {
  const auto size_of = [](numbers& random) { return log_size(random, 128 * KiB, 7); };
  object_list all{1000};
  s.start();
  s.fill(all, s.scaled(384 * MiB), size_of);
  s.point("peak");
  s.thin(all, 200);
  s.dropped();
  s.point("drop");
  const std::size_t buffers = all.size();
  const std::size_t rounds = s.scaled(400);
  steps step{s.measured(), 0, rounds, 40};
  for (std::size_t i = 0; i < rounds; ++i) {
    object& old = all[s.random().below(buffers)];
    s.drop(old);
    old = s.make(size_of(s.random()));
    step.at(i + 1);
  }
  s.point("activity");
  s.drop_all(all);
  s.point("end");
}

}  // namespace return_to_os
