// SPDX-License-Identifier: BSL-1.0
// The browser of Moser's mail of 2005. Pages that stay take 40 MiB; fifteen tabs are opened, up to 90 MiB, and while
// they load, a record of the history is written now and then, which stays. Then the tabs are closed.
#pragma once

#include "stage.hpp"

namespace return_to_os {

template <class Memory>
class browser {
 public:
  static void play(stage<Memory>& s) noexcept {
    browser b{s};
    s.start();
    s.fill(b.pages_, s.scaled(40 * MiB), usual_size, 20);
    b.open_tabs(15);
    s.point("peak");
    b.close_tabs();
    s.point("drop");
    s.light(usual_size, 100);
    s.point("light");
    for (int spike = 0; spike < 10; ++spike) {
      b.open_tabs(3);
      b.close_tabs();
      s.light(usual_size, 10);
    }
    s.point("spikes");
    for (object_list* list : {&b.pages_, &b.history_}) s.drop_all(*list);
    s.point("end");
  }

 private:
  explicit browser(stage<Memory>& s) noexcept
      : s_{s}, pages_{s.scaled(100'000) + 1000}, tabs_{s.scaled(100'000) + 1000}, history_{s.scaled(20'000) + 1000} {}

  // One object in a hundred is a picture: 8 to 128 KiB.
  static std::size_t size_in_tab(numbers& random) noexcept {
    return random.below(100) == 0 ? log_size(random, 8 * KiB, 4) : usual_size(random);
  }

  void open_tabs(std::size_t count) noexcept {
    const std::size_t before = s_.measured().live();
    const std::size_t after = before + s_.scaled(count * 50 * MiB / 15);
    steps step{s_.measured(), before, after, std::size_t{count == 15 ? 30u : 2u}};
    while (s_.measured().live() < after) {
      tabs_.push(s_.make(size_in_tab(s_.random())));
      if (tabs_.size() % 30 == 0) history_.push(s_.make(s_.random().between(64, 512)));
      step.at(s_.measured().live());
    }
  }

  void close_tabs() noexcept {
    s_.drop_all(tabs_, tabs_.size() > s_.scaled(30'000) ? 15 : 2);
    s_.dropped();
  }

  stage<Memory>& s_;
  object_list pages_;
  object_list tabs_;
  object_list history_;
};

}  // namespace return_to_os
