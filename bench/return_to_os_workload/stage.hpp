// SPDX-License-Identifier: BSL-1.0
// What the scenarios have in common: objects that are written to and looked at again, lists of them, and the ways in
// which lists grow, are thinned and lie still. `Memory` is what is measured: allocate, deallocate, reallocate, and
// `dropped`, which is called where the program knows that it needs much less from now on.
#pragma once

#include "meter.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>

namespace return_to_os {

using workload::KiB;
using workload::log_size;
using workload::MiB;
using workload::numbers;
using workload::usual_size;

struct object {
  unsigned char* bytes;
  std::uint32_t size;
  unsigned char mark;  // what is in each of its bytes
};

class object_list {
 public:
  explicit object_list(std::size_t capacity) noexcept : items_{capacity} {}

  std::size_t size() const noexcept { return size_; }
  std::size_t capacity() const noexcept { return items_.size(); }
  object& operator[](std::size_t i) noexcept { return items_[i]; }
  void push(object o) noexcept { items_[size_++] = o; }
  void cut(std::size_t size) noexcept { size_ = size; }

 private:
  own_array<object> items_;
  std::size_t size_ = 0;
};

/// One thread's way to the memory, which counts and verifies.
template <class Memory>
class hands {
 public:
  hands(Memory& memory, counters& count) noexcept : memory_{&memory}, count_{&count} {}

  object make(std::size_t size) noexcept {
    const object o{static_cast<unsigned char*>(memory_->allocate(size)), static_cast<std::uint32_t>(size), ++mark_};
    if (o.bytes == nullptr) workload::die("out of memory");
    std::memset(o.bytes, o.mark, size);
    count_->add(size, 1);
    return o;
  }

  void drop(const object& o) noexcept {
    verify(o);
    memory_->deallocate(o.bytes, o.size);
    count_->add(-std::size_t{o.size}, 1);
  }

  void resize(object& o, std::size_t size) noexcept {
    verify(o);
    object grown{static_cast<unsigned char*>(memory_->reallocate(o.bytes, o.size, size)),
                 static_cast<std::uint32_t>(size), o.mark};
    if (grown.bytes == nullptr) workload::die("out of memory");
    if (size > o.size) std::memset(grown.bytes + o.size, grown.mark, size - o.size);
    verify(grown);
    count_->add(size - o.size, 1);
    o = grown;
  }

  /// Much was freed, and nothing of the kind comes soon.
  void dropped() noexcept { memory_->dropped(); }

 private:
  static void verify(const object& o) noexcept {
    if (o.bytes[0] != o.mark || o.bytes[o.size / 2] != o.mark || o.bytes[o.size - 1] != o.mark) {
      workload::die("somebody else wrote to an object");
    }
  }

  Memory* memory_;
  counters* count_;
  unsigned char mark_ = 0;
};

/// What a scenario plays on. Amounts are for `percent` of 100; waiting is shorter where that is less than 100.
template <class Memory>
class stage : public hands<Memory> {
 public:
  stage(Memory& memory, meter& measured, std::size_t percent) noexcept
      : hands<Memory>{memory, measured.of_thread(0)}, memory_{&memory}, meter_{&measured}, percent_{percent} {}

  Memory& memory() noexcept { return *memory_; }
  meter& measured() noexcept { return *meter_; }
  numbers& random() noexcept { return random_; }
  std::size_t scaled(std::size_t full) const noexcept { return full * percent_ / 100; }

  /// All lists are there, and nothing is in them.
  void start() noexcept { meter_->start(); }

  void point(const char* name) noexcept { meter_->sample(name); }

  /// Appends objects until so many bytes are live.
  template <class Size>
  void fill(object_list& list, std::size_t live, Size size_of, std::size_t samples = 30) noexcept {
    steps step{*meter_, meter_->live(), live, samples};
    while (meter_->live() < live) {
      list.push(this->make(size_of(random_)));
      step.at(meter_->live());
    }
  }

  /// Frees objects in the order of allocation; each one survives with a chance of so many in a thousand.
  void thin(object_list& list, std::size_t per_mille, std::size_t samples = 20) noexcept {
    thin_by(
        list, [per_mille](std::size_t) { return per_mille; }, samples);
  }

  /// The same with a chance that depends on the number of the object.
  template <class Chance>
  void thin_by(object_list& list, Chance per_mille, std::size_t samples) noexcept {
    steps step{*meter_, 0, list.size(), samples};
    std::size_t kept = 0;
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (random_.below(1000) < per_mille(i)) {
        list[kept++] = list[i];
      } else {
        this->drop(list[i]);
      }
      step.at(i + 1);
    }
    list.cut(kept);
  }

  void drop_all(object_list& list, std::size_t samples = 5) noexcept { thin(list, 0, samples); }

  /// A program that has little to do: 64 objects at a time, freed when the next 64 are there, 100 times a second.
  template <class Size>
  void light(Size size_of, std::size_t bursts) noexcept {
    if (percent_ < 100) bursts /= 4;
    object_list two[2] = {object_list{64}, object_list{64}};
    for (std::size_t i = 0; i < bursts; ++i) {
      for (std::size_t k = 0; k < 64; ++k) two[i % 2].push(this->make(size_of(random_)));
      empty(two[1 - i % 2]);
      pause(10);
      if (i % 10 == 9) meter_->sample();
    }
    for (object_list& list : two) empty(list);
  }

  /// A program that calls nothing, for 200 ms at a time.
  void idle(std::size_t times) noexcept {
    if (percent_ < 100) times = 1;
    for (std::size_t i = 0; i < times; ++i) {
      pause(200);
      meter_->sample();
    }
  }

 private:
  static void pause(long milliseconds) noexcept {
    const timespec t{0, milliseconds * 1'000'000};
    nanosleep(&t, nullptr);
  }

  void empty(object_list& list) noexcept {
    for (std::size_t k = 0; k < list.size(); ++k) this->drop(list[k]);
    list.cut(0);
  }

  Memory* memory_;
  meter* meter_;
  std::size_t percent_;
  numbers random_{1};
};

}  // namespace return_to_os
