// SPDX-License-Identifier: BSL-1.0
// What is fuzzed. Each body reads any bytes as operations and compares what they do with a model; it is the target of
// the fuzzer (target.cpp) and of the unit test that replays the corpus (replay.cpp). What goes wrong is a
// `model::broken_promise`, or a line on stderr and `abort()`.
#pragma once

#include "fuzz/input.hpp"
#include "model/shadow.hpp"

#include <string>

namespace fuzz {

/// An arena of any policies and layers.
void arena(std::span<const std::uint8_t> bytes);
/// The spans, slabs and dirty pages of one miniheap.
void page_map(std::span<const std::uint8_t> bytes);
/// What C and C++ promise of malloc and new.
void malloc(std::span<const std::uint8_t> bytes);

/// Calls `stream.step(in)` until the input is at its end, and `stream.end()`.
template <class Stream>
void play(Stream& stream, input& in) {
  std::size_t steps = 0;
  try {
    for (; !in.is_at_end(); ++steps) stream.step(in);
    stream.end();
  } catch (const model::broken_promise& broken) {
    throw model::broken_promise{std::string{broken.what()} + " (operation " + std::to_string(steps) + ")"};
  }
}

}  // namespace fuzz
