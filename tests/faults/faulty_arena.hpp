// SPDX-License-Identifier: BSL-1.0
// Any arena over a page source of which each call may fail, behind one interface.
#pragma once

#include "faults/recording_source.hpp"
#include "model/tested_arena.hpp"

#include <miniheap/thread_cache.hpp>

#include <functional>
#include <memory>
#include <type_traits>

namespace faults {

/// What an arena is asked for here, and what its page source can do.
struct traits {
  bool is_shared;       // threads may use it
  bool has_cache;       // of each thread
  bool is_buffer;       // no operating system
  bool remaps;          //
  bool purges_rows;     //
  bool is_hinted;       //
  bool has_huge_pages;  // asks for them soon
};

class faulty_arena : public model::tested_arena {
 public:
  [[nodiscard]] virtual traits kind() const = 0;
  /// The calls that reached the page source.
  virtual const std::vector<call>& recorded() = 0;
  /// How many there were, with those that failed.
  virtual std::uint64_t calls() = 0;
  virtual void fail_at(std::uint64_t n, std::uint64_t times) = 0;
  virtual void fail_one_in(std::uint64_t n, std::uint64_t seed) = 0;
  virtual void never_fail() = 0;
};

template <class Source>
using faulty_source = miniheap::counting_source<failing_everywhere<recording_source<Source>>>;

template <class Arena>
inline constexpr bool is_thread_cached = false;
template <class Arena>
inline constexpr bool is_thread_cached<miniheap::thread_cached<Arena>> = true;

/// `Arena` has a `faulty_source<Source>` and this lock.
template <class Arena, class Source, class Lock>
class faulty : public model::tested<Arena, faulty_arena> {
 public:
  explicit faulty(Source source)
      : model::tested<Arena, faulty_arena>{
            faulty_source<Source>{failing_everywhere<recording_source<Source>>{recording_source<Source>{source}}}, 0} {}

  [[nodiscard]] traits kind() const override {
    return {.is_shared = !std::is_same_v<Lock, miniheap::no_lock>,
            .has_cache = is_thread_cached<Arena>,
            .is_buffer = std::is_same_v<Source, miniheap::buffer_source>,
            .remaps = miniheap::remapping_page_source<Source>,
            .purges_rows = miniheap::row_purging_page_source<Source>,
            .is_hinted = miniheap::hinted_page_source<Source>,
            .has_huge_pages = Arena::config.huge_pages_from_bytes < miniheap::MiB};
  }
  const std::vector<call>& recorded() override { return failing().inner().calls(); }
  std::uint64_t calls() override { return failing().calls(); }
  void fail_at(std::uint64_t n, std::uint64_t times) override { failing().fail_at(n, times); }
  void fail_one_in(std::uint64_t n, std::uint64_t seed) override {
    one_in_ = n;
    failing().fail_one_in(n, seed);
  }
  void never_fail() override {
    one_in_ = 0;
    failing().never_fail();
  }

  bool is_source_refusing() override { return one_in_ != 0; }
  void let_source_refuse(bool any) override { any ? failing().fail_one_in(one_in_, ++seed_) : failing().never_fail(); }

 private:
  auto& failing() { return this->arena_.source().inner(); }

  std::uint64_t one_in_ = 0;
  std::uint64_t seed_ = 0;
};

struct combination {
  const char* name;
  std::function<std::unique_ptr<faulty_arena>()> make;
};

}  // namespace faults
