// SPDX-License-Identifier: BSL-1.0
// What comes after a spike, for a long time: a quarter of the objects survived, and from then on each one that is freed
// makes place for others, so that what is live stays the same. What is held is looked at when all live bytes were
// replaced 3, 10, 30 and 100 times over.
#pragma once

#include "stage.hpp"

namespace return_to_os {

/// `Steady` of 100 objects live long: of what is freed, only one in twenty is one of those. With 0, all are alike.
template <class Memory, std::size_t LiveMiB, std::size_t Smallest, std::size_t Doublings, std::size_t Steady>
class churn {
 public:
  static void play(stage<Memory>& s) noexcept {
    churn c{s};
    s.start();
    s.fill(c.passing_, 4 * c.live_, size_of, 20);
    s.point("peak");
    c.thin();
    s.point("drop");
    c.divide();
    c.turn_over(3, 10);
    s.point("3 turns");
    c.turn_over(7, 15);
    s.point("10 turns");
    c.turn_over(20, 20);
    s.point("30 turns");
    c.turn_over(70, 30);
    s.point("100 turns");
    for (object_list* list : {&c.passing_, &c.steady_}) s.drop_all(*list, 1);
    s.point("end");
  }

 private:
  explicit churn(stage<Memory>& s) noexcept
      : s_{s},
        live_{s.scaled(LiveMiB * MiB)},
        passing_{live_ * 5 / (Smallest * ((1u << Doublings) - 1) / Doublings) + 1000},
        steady_{passing_.capacity()} {}

  static std::size_t size_of(numbers& random) noexcept { return log_size(random, Smallest, Doublings); }

  // What was allocated together lives or dies together, more or less: each of 32 parts of the spike has a chance of its
  // own, from 5 to 45 %.
  void thin() noexcept {
    std::size_t chances[32];
    for (std::size_t& chance : chances) chance = s_.random().between(50, 450);
    const std::size_t part = passing_.size() / 32 + 1;
    s_.thin_by(
        passing_, [&](std::size_t i) { return chances[i / part]; }, 10);
  }

  void divide() noexcept {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < passing_.size(); ++i) {
      if (s_.random().below(100) < Steady) {
        steady_.push(passing_[i]);
      } else {
        passing_[kept++] = passing_[i];
      }
    }
    passing_.cut(kept);
  }

  void turn_over(std::size_t times, std::size_t samples) noexcept {
    const std::size_t all = times * live_;
    steps step{s_.measured(), 0, all, samples};
    for (std::size_t bytes = 0; bytes < all;) {
      object_list& list = Steady > 0 && s_.random().below(20) == 0 ? steady_ : passing_;
      const std::size_t at = s_.random().below(list.size());
      s_.drop(list[at]);
      if (s_.measured().live() >= live_) {  // freed more than was allocated, and the other way round
        list[at] = list[list.size() - 1];
        list.cut(list.size() - 1);
        continue;
      }
      list[at] = replace(bytes);
      while (s_.measured().live() < live_) list.push(replace(bytes));
      step.at(bytes);
    }
  }

  object replace(std::size_t& bytes) noexcept {
    const object o = s_.make(size_of(s_.random()));
    bytes += o.size;
    return o;
  }

  stage<Memory>& s_;
  std::size_t live_;
  object_list passing_;
  object_list steady_;
};

}  // namespace return_to_os
