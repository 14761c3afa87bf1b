// SPDX-License-Identifier: BSL-1.0
// Forty cycles of a load: each allocates 200 MiB of 16 bytes to 8 KiB. Half of the objects are freed soon, the others
// at the end of the cycle, but for 3 % of all, which live ten cycles longer.
#pragma once

#include "stage.hpp"

namespace return_to_os {

template <class Memory>
class saw {
 public:
  static void play(stage<Memory>& s) noexcept {
    saw teeth{s};
    s.start();
    for (std::size_t cycle = 0; cycle < cycles; ++cycle) {
      teeth.load();
      s.point("");
      teeth.end_cycle(teeth.kept_[cycle % lives]);
      s.dropped();
      s.point(cycle < lives ? "early trough" : "trough");
    }
    for (object_list& kept : teeth.kept_) s.drop_all(kept, 1);
    s.point("end");
  }

 private:
  static constexpr std::size_t cycles = 40;
  static constexpr std::size_t lives = 10;
  static constexpr std::size_t fleeting_objects = 5000;

  explicit saw(stage<Memory>& s) noexcept
      : s_{s}, objects_{s.scaled(115'000) + 1000}, staying_{objects_}, fleeting_{fleeting_objects}, kept_{list(),
                                                                                                          list(),
                                                                                                          list(),
                                                                                                          list(),
                                                                                                          list(),
                                                                                                          list(),
                                                                                                          list(),
                                                                                                          list(),
                                                                                                          list(),
                                                                                                          list()} {}

  object_list list() const noexcept { return object_list{objects_ / 10}; }

  void load() noexcept {
    numbers& random = s_.random();
    for (std::size_t bytes = 0; bytes < s_.scaled(200 * MiB);) {
      const object o = s_.make(log_size(random, 16, 9));
      bytes += o.size;
      if (random.below(2) == 0) {
        staying_.push(o);
      } else if (fleeting_.size() < fleeting_objects) {
        fleeting_.push(o);
      } else {
        object& old = fleeting_[random.below(fleeting_objects)];
        s_.drop(old);
        old = o;
      }
    }
  }

  // Frees what was kept ten cycles ago, and keeps some of this one.
  void end_cycle(object_list& kept) noexcept {
    s_.drop_all(kept, 1);
    s_.drop_all(fleeting_, 1);
    s_.thin(staying_, 60, 1);
    for (std::size_t i = 0; i < staying_.size(); ++i) kept.push(staying_[i]);
    staying_.cut(0);
  }

  stage<Memory>& s_;
  std::size_t objects_;
  object_list staying_;
  object_list fleeting_;
  object_list kept_[lives];
};

}  // namespace return_to_os
