// SPDX-License-Identifier: BSL-1.0
// Buffers of 128 KiB to 8 MiB: each is allocated, touched on every page, and freed; four live at a time, between small
// objects that stay a while, as an image or a video program has them.

#include "common.hpp"

#include <array>
#include <cstddef>
#include <vector>

namespace {

using namespace workload;

constexpr std::size_t doublings = 6;  // 128 KiB to 8 MiB
constexpr std::size_t small_objects = 2'000;

}  // namespace

int main(int argc, char** argv) {
  const std::size_t buffers = scaled(8'000, argc, argv);
  const stopwatch watch;
  numbers random{5};
  std::array<object, 4> live;
  std::vector<object> small(small_objects);
  for (std::size_t i = 0; i < buffers; ++i) {
    object& buffer = live[random.below(live.size())];
    drop(buffer);
    buffer = make(log_size(random, 128 * KiB, doublings));
    for (int j = 0; j < 20; ++j) {
      object& o = small[random.below(small_objects)];
      drop(o);
      o = make(random.between(32, 512));
    }
  }
  for (object& o : live) drop(o);
  for (object& o : small) drop(o);
  report("operations_per_second", static_cast<double>(buffers) / watch.seconds());
}
