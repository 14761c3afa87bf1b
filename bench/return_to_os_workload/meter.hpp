// SPDX-License-Identifier: BSL-1.0
// Takes samples while a scenario goes on and prints them at its end, so that nothing but the scenario allocates.
#pragma once

#include "own_memory.hpp"
#include "process_memory.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>

namespace return_to_os {

/// What one thread requested and gave back. Only the thread itself writes; differences may be negative, as one thread
/// frees what another one allocated: only the sum means something.
class counters {
 public:
  void add(std::size_t live, std::size_t operations) noexcept {
    live_.store(this->live() + live, std::memory_order_relaxed);
    operations_.store(this->operations() + operations, std::memory_order_relaxed);
  }

  std::size_t live() const noexcept { return live_.load(std::memory_order_relaxed); }
  std::size_t operations() const noexcept { return operations_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> live_ = 0;
  std::atomic<std::size_t> operations_ = 0;
};

class meter {
 public:
  static constexpr std::size_t threads = 2;

  /// What an allocator says of itself, where it can be asked: bytes that it has from the kernel.
  struct witness {
    std::size_t (*held)(const void* allocator) = nullptr;
    const void* allocator = nullptr;
  };

  meter() noexcept = default;

  counters& of_thread(std::size_t i) noexcept { return counters_[i]; }
  void ask(witness who) noexcept { witness_ = who; }

  std::size_t live() const noexcept {
    std::size_t sum = 0;
    for (const counters& c : counters_) sum += c.live();
    return sum;
  }

  /// Time is counted from here; the bookkeeping has been mapped.
  void start() noexcept {
    wall_ = seconds(CLOCK_MONOTONIC);
    cpu_ = seconds(CLOCK_PROCESS_CPUTIME_ID);
    sample("start");
  }

  /// `point` has a name where the tables look at it; the curve has all samples.
  void sample(const char* point = "") noexcept {
    const double before = seconds(CLOCK_THREAD_CPUTIME_ID);
    record& r = records_[count_++];
    r = record{};
    r.point = point;
    r.wall = seconds(CLOCK_MONOTONIC) - wall_;
    r.cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_;
    r.live = live();
    for (const counters& c : counters_) r.operations += c.operations();
    r.memory = reader_.read();
    if (witness_.held != nullptr) r.counted = witness_.held(witness_.allocator);
    cpu_ += seconds(CLOCK_THREAD_CPUTIME_ID) - before;  // what sampling took is nobody's
  }

  void print() noexcept {
    std::puts("point,wall,cpu,operations,live,rss,pss,anonymous,lazy_free,shared,swapped,held,counted");
    for (std::size_t i = 0; i < count_; ++i) {
      const record& r = records_[i];
      std::printf("%s,%.4f,%.4f,%zu,%zu,%zu,%zu,%zu,%zu,%zu,%zu,%zu,%zu\n", r.point, r.wall, r.cpu, r.operations,
                  r.live, r.memory.rss, r.memory.pss, r.memory.anonymous, r.memory.lazy_free, r.memory.shared,
                  r.memory.swapped, r.memory.held() - r.own, r.counted);
    }
  }

 private:
  struct record {
    const char* point = "";
    double wall = 0;
    double cpu = 0;
    std::size_t operations = 0;
    std::size_t live = 0;
    std::size_t own = own_bytes;
    std::size_t counted = 0;
    process_memory memory;
  };

  std::array<counters, threads> counters_;
  process_memory_reader reader_;
  witness witness_;
  double wall_ = 0;
  double cpu_ = 0;
  own_array<record> records_{1000};
  std::size_t count_ = 0;
};

/// Samples at equal steps on the way to a number, `samples` of them.
class steps {
 public:
  steps(meter& m, std::size_t from, std::size_t to, std::size_t samples) noexcept
      : meter_{&m}, every_{(to - from) / samples + 1}, next_{from + every_} {}  // one sample: none on the way

  void at(std::size_t done) noexcept {
    if (done < next_) return;
    meter_->sample();
    while (next_ <= done) next_ += every_;
  }

 private:
  meter* meter_;
  std::size_t every_;
  std::size_t next_;
};

}  // namespace return_to_os
