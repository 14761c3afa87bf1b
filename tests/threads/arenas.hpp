// SPDX-License-Identifier: BSL-1.0
// The arenas that threads share: each lock policy, with miniheaps that fill at once and with those of the default size.
#pragma once

#include <miniheap/thread_cache.hpp>

#include <mutex>
#include <thread>
#include <tuple>
#include <vector>

namespace threads {

using namespace miniheap;

template <class Lock, std::size_t MiniheapBytes, std::size_t ReserveBytes>
using shared_arena =
    miniheap_arena<counting_source<>, Lock, first_fit, fullest_first,
                   arena_config{.miniheap_bytes = MiniheapBytes, .reserve_ceiling_bytes = ReserveBytes}>;

/// All of them; a layer is tested by one more line.
using arenas = std::tuple<shared_arena<coarse_lock<>, 64 * KiB, 64 * KiB>,          //
                          shared_arena<coarse_lock<>, 4 * MiB, 8 * MiB>,            //
                          shared_arena<coarse_lock<std::mutex>, 64 * KiB, 0>,       //
                          shared_arena<coarse_lock<std::mutex>, 4 * MiB, 8 * MiB>,  //
                          shared_arena<fine_grained_lock, 64 * KiB, 64 * KiB>,      //
                          shared_arena<fine_grained_lock, 64 * KiB, 0>,             //
                          shared_arena<fine_grained_lock, 4 * MiB, 8 * MiB>,        //
                          thread_cached<shared_arena<coarse_lock<>, 64 * KiB, 0>>,  //
                          thread_cached<shared_arena<fine_grained_lock, 64 * KiB, 0>>,
                          thread_cached<shared_arena<fine_grained_lock, 4 * MiB, 8 * MiB>>>;

/// Calls `work(n)` in `count` threads and waits for all.
template <class Work>
void in_threads(unsigned count, Work work) {
  std::vector<std::thread> started;
  for (unsigned n = 0; n < count; ++n) started.emplace_back(work, n);
  for (std::thread& thread : started) thread.join();
}

}  // namespace threads
