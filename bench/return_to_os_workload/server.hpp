// SPDX-License-Identifier: BSL-1.0
// Two threads pass sessions to each other: one opens a session and allocates half of its objects, the other one
// allocates the rest, and frees all when the session ends. Two thousand sessions, 6 MiB, in steady traffic; then a
// surge to 198 MiB; then all but two thousand end, and nothing happens any more.
#pragma once

#include "../preload_workload/bounded_queue.hpp"
#include "stage.hpp"

#include <pthread.h>

#include <cstdint>

namespace return_to_os {

template <class Memory>
class server {
 public:
  static void play(stage<Memory>& s) noexcept {
    server all{s};
    s.start();
    pthread_t other{};
    if (pthread_create(&other, nullptr, second_thread, &all) != 0) workload::die("cannot start a thread");
    all.serve(all.sides_[0]);
    pthread_join(other, nullptr);
    s.point("end");
  }

 private:
  static constexpr std::size_t objects_each = 6;  // of each thread in one session
  static constexpr std::size_t batch = 64;

  // A session has its place in a table for ever, so that a number is enough to pass it.
  using queue = workload::bounded_queue<std::uint32_t, 2 * batch>;

  // What belongs to one of the threads.
  struct side {
    side(Memory& memory, meter& measured, std::size_t self, std::size_t sessions) noexcept
        : work{memory, measured.of_thread(self)}, number{self}, live{sessions}, random{self + 1} {}

    hands<Memory> work;
    std::size_t number;
    std::size_t opened = 0;
    own_array<std::uint32_t> live;  // sessions that this thread will close
    std::size_t live_count = 0;
    numbers random;
    queue incoming;
  };

  explicit server(stage<Memory>& s) noexcept
      : s_{s},
        few_{s.scaled(1000)},
        many_{s.scaled(34'300)},
        traffic_{s.scaled(6'400)},
        sessions_{2 * (many_ + 2 * traffic_ + 8 * batch)},
        objects_{sessions_ * 2 * objects_each},
        sides_{{s.memory(), s.measured(), 0, many_ + 2 * batch}, {s.memory(), s.measured(), 1, many_ + 2 * batch}} {
    pthread_barrier_init(&together_, nullptr, 2);
  }

  static void* second_thread(void* self) noexcept {
    auto& all = *static_cast<server*>(self);
    all.serve(all.sides_[1]);
    return nullptr;
  }

  void serve(side& me) noexcept {
    traffic(me, traffic_, few_, 20);
    traffic(me, many_, many_, 30);
    together(me, "peak");
    end_sessions(me, few_);
    me.work.dropped();
    together(me, "drop");
    if (me.number == 0) s_.idle(5);
    together(me, "idle");
    traffic(me, traffic_, few_, 10);
    together(me, "traffic");
    end_sessions(me, 0);
    pthread_barrier_wait(&together_);
  }

  // Opens so many sessions and takes over as many; closes random ones where there are more than `most`.
  void traffic(side& me, std::size_t sessions, std::size_t most, std::size_t samples) noexcept {
    steps step{s_.measured(), 0, sessions, samples};
    for (std::size_t done = 0; done < sessions; done += batch) {
      for (std::size_t i = 0; i < batch; ++i) open(me);
      for (std::size_t i = 0; i < batch; ++i) take_over(me);
      while (me.live_count > most) close(me);
      if (me.number == 0) step.at(done + batch);
    }
  }

  void open(side& me) noexcept {
    const auto session = static_cast<std::uint32_t>(2 * me.opened++ + me.number);
    add_objects(me, session, 0);
    sides_[1 - me.number].incoming.push(session);
  }

  void take_over(side& me) noexcept {
    std::uint32_t session = 0;
    if (!me.incoming.pop(session)) workload::die("a session was lost");
    add_objects(me, session, objects_each);
    me.live[me.live_count++] = session;
  }

  void add_objects(side& me, std::uint32_t session, std::size_t from) noexcept {
    for (std::size_t i = from; i < from + objects_each; ++i) {
      object_of(session, i) = me.work.make(log_size(me.random, 16, 6));
    }
  }

  void close(side& me) noexcept {
    const std::size_t at = me.random.below(me.live_count);
    const std::uint32_t session = me.live[at];
    me.live[at] = me.live[--me.live_count];
    for (std::size_t i = 0; i < 2 * objects_each; ++i) me.work.drop(object_of(session, i));
  }

  object& object_of(std::size_t session, std::size_t i) noexcept { return objects_[session * 2 * objects_each + i]; }

  void end_sessions(side& me, std::size_t left) noexcept {
    steps step{s_.measured(), 0, me.live_count - left, 20};
    for (std::size_t ended = 0; me.live_count > left; ++ended) {
      close(me);
      if (me.number == 0) step.at(ended);
    }
  }

  // Both have come so far, and the second waits until the first has looked.
  void together(side& me, const char* point) noexcept {
    pthread_barrier_wait(&together_);
    if (me.number == 0) s_.point(point);
    pthread_barrier_wait(&together_);
  }

  stage<Memory>& s_;
  std::size_t few_;
  std::size_t many_;
  std::size_t traffic_;
  std::size_t sessions_;
  own_array<object> objects_;
  pthread_barrier_t together_{};
  side sides_[2];
};

}  // namespace return_to_os
