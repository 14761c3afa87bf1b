// SPDX-License-Identifier: BSL-1.0
// A large set of live objects of 16 bytes to 64 KiB, as many of each doubling. A random one is replaced by another of
// a new size, or, one time in ten, grown by half with realloc, as buffers are.

#include "common.hpp"

#include <cstddef>
#include <cstdlib>
#include <vector>

namespace {

using namespace workload;

constexpr std::size_t live_objects = 16'000;  // some 100 MiB
constexpr std::size_t doublings = 12;         // 16 bytes to 64 KiB

void grow(object& o) {
  const std::size_t size = o.size + o.size / 2;
  auto* const bytes = static_cast<unsigned char*>(std::realloc(o.bytes, size));
  if (bytes == nullptr) die("out of memory");
  if (bytes[0] != mark_of(o.size)) die("realloc lost what was there");
  o = {bytes, size};
  touch(o);
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t operations = scaled(4'000'000, argc, argv);
  const stopwatch watch;
  numbers random{4};
  std::vector<object> live(live_objects);
  for (object& o : live) o = make(log_size(random, 16, doublings));
  for (std::size_t i = 0; i < operations; ++i) {
    object& o = live[random.below(live_objects)];
    if (random.below(10) == 0 && o.size < 64 * KiB) {
      grow(o);
    } else {
      drop(o);
      o = make(log_size(random, 16, doublings));
    }
  }
  for (object& o : live) drop(o);
  report("operations_per_second", static_cast<double>(operations) / watch.seconds());
}
