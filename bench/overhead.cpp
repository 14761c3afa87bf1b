// SPDX-License-Identifier: BSL-1.0
// How much memory an arena takes beyond what is allocated: with ten million nodes, and with one. Prints lines of
// tab-separated fields for report.py: what, value, unit, target.

#include <miniheap/miniheap.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace {

using miniheap::KiB;

using entry = std::pair<const std::uint64_t, std::uint64_t>;

constexpr std::size_t nodes = 10'000'000;
constexpr std::size_t node_bytes = 48;  // of std::map from 8 bytes to 8 bytes: a colour, three pointers, the entry

// Anonymous memory of the whole process, which leaves out what is mapped of the program file as it is executed.
std::size_t resident_bytes() {
  std::FILE* const file = std::fopen("/proc/self/smaps_rollup", "r");
  char line[256];
  std::size_t kibibytes = 0;
  while (file != nullptr && std::fgets(line, sizeof line, file) != nullptr) {
    if (std::sscanf(line, "Anonymous: %zu kB", &kibibytes) == 1) {
      break;
    }
  }
  if (file != nullptr) {
    std::fclose(file);
  }
  return kibibytes * KiB;
}

// What the kernel says of one range.
std::size_t resident_bytes(const void* address, std::size_t bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> pages(bytes / page);
  if (mincore(const_cast<void*>(address), bytes, pages.data()) != 0) {
    std::perror("mincore");
    std::exit(1);
  }
  std::size_t resident = 0;
  for (const unsigned char flags : pages) {
    resident += (flags & 1u) * page;
  }
  return resident;
}

void print(const char* what, double value, const char* unit, const char* target) {
  std::printf("%s\t%.3f\t%s\t%s\n", what, value, unit, target);
}

template <class Allocator>
double resident_per_live_byte(Allocator allocator) {
  const std::size_t before = resident_bytes();
  std::map<std::uint64_t, std::uint64_t, std::less<>, Allocator> map(allocator);
  for (std::uint64_t i = 0; i < nodes; ++i) {
    map.emplace_hint(map.end(), i, i);
  }
  return static_cast<double>(resident_bytes() - before) / double{nodes * node_bytes};
}

void ten_million_nodes() {
  std::printf("10 million live nodes of 48 bytes, of a std::map\n");
  {
    miniheap::miniheap_arena<miniheap::mmap_source, miniheap::no_lock> arena{"overhead"};
    const double resident = [&] {
      const std::size_t before = resident_bytes();
      std::map<std::uint64_t, std::uint64_t, std::less<>, miniheap::miniheap_allocator<entry, decltype(arena)>> map(
          arena);
      for (std::uint64_t i = 0; i < nodes; ++i) {
        map.emplace_hint(map.end(), i, i);
      }
      const miniheap::arena_stats stats = arena.stats();
      if (stats.allocations != nodes) {
        std::fprintf(stderr, "%zu nodes are allocated, not %zu\n", stats.allocations, nodes);
        std::exit(1);
      }
      print("arena: bytes mapped per byte live", static_cast<double>(stats.mapped_bytes) / double{nodes * node_bytes},
            "", "1.06");
      return static_cast<double>(resident_bytes() - before) / double{nodes * node_bytes};
    }();
    print("arena: bytes resident per byte live", resident, "", "");
  }
  print("std::allocator: bytes resident per byte live", resident_per_live_byte(std::allocator<entry>{}), "", "");
}

template <class Arena>
void one_allocation(const char* which) {
  std::printf("one allocation of 16 bytes, written to; %s\n", which);
  const auto add_to_sum = [](std::size_t& sum, const miniheap::miniheap_info& m) {
    sum += resident_bytes(m.address, m.bytes);
  };
  (void)resident_bytes();  // the C library's own buffers, once
  const std::size_t before = resident_bytes();
  Arena arena{"one"};
  std::memset(arena.allocate(16), 1, 16);
  const std::size_t after = resident_bytes();
  const miniheap::arena_stats stats = arena.stats();
  std::size_t sum = 0;
  arena.walk([&](const miniheap::miniheap_info& m) { add_to_sum(sum, m); });
  print("miniheaps mapped", static_cast<double>(stats.miniheaps), "", "1");
  print("resident, of its miniheap", static_cast<double>(sum) / KiB, "KiB", "");
  print("resident, added to the process", static_cast<double>(after - before) / KiB, "KiB", "64");
  print("the arena object itself", static_cast<double>(sizeof arena) / KiB, "KiB", "");
}

}  // namespace

int main() {
  one_allocation<miniheap::miniheap_arena<>>("default arena");
  one_allocation<miniheap::miniheap_arena<miniheap::mmap_source, miniheap::no_lock>>("without a lock");
  ten_million_nodes();
}
