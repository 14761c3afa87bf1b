// SPDX-License-Identifier: BSL-1.0
// An arena in ten lines: a map that has its memory to itself, and gives it back.
#include <cstdio>
#include <functional>
#include <map>
#include <string_view>
#include <utility>

#include <miniheap/miniheap.hpp>

// A type of one's own for the arena keeps symbols and error messages short.
struct app_arena : miniheap::miniheap_arena<> {
  using miniheap_arena::miniheap_arena;
};

template <class Key, class Value>
using app_map = std::map<Key, Value, std::less<>, miniheap::miniheap_allocator<std::pair<const Key, Value>, app_arena>>;

int main() {
  app_arena arena{"app"};
  app_map<int, double> squares{arena};
  for (int i = 0; i < 100'000; ++i) squares.emplace(i, static_cast<double>(i) * i);

  const auto full = arena.stats();
  std::printf("%zu nodes: %zu bytes live, %zu mapped, miniheaps: %zu\n", squares.size(), full.live_bytes,
              full.mapped_bytes, full.miniheaps);

  while (squares.size() > 100) squares.erase(squares.begin());
  arena.trim();

  const auto sparse = arena.stats();
  std::printf("%zu nodes: %zu bytes live, %zu mapped, miniheaps: %zu\n", squares.size(), sparse.live_bytes,
              sparse.mapped_bytes, sparse.miniheaps);
  arena.dump([](std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); });
}
