// SPDX-License-Identifier: BSL-1.0
// Strings that grow by half with realloc, in turns, to 128 MiB of 64 bytes to 4 KiB. One in twenty survives; then each
// of those is made a few bytes longer, and three times a few shorter or longer again.
#pragma once

#include "stage.hpp"

namespace return_to_os {

template <class Memory>
class strings {
 public:
  static void play(stage<Memory>& s) noexcept {
    strings all{s};
    s.start();
    all.grow();
    s.point("peak");
    s.thin(all.list_, 51);
    s.dropped();
    s.point("drop");
    all.edit();
    s.point("once");
    for (int i = 0; i < 3; ++i) all.edit();
    s.point("four times");
    s.drop_all(all.list_);
    s.point("end");
  }

 private:
  explicit strings(stage<Memory>& s) noexcept
      : s_{s}, count_{s.scaled(133'000)}, list_{count_}, final_{count_}, growing_{count_} {}

  void grow() noexcept {
    std::size_t whole = 0;
    for (std::uint32_t i = 0; i < count_; ++i) {
      list_.push(s_.make(32));
      final_[i] = static_cast<std::uint32_t>(log_size(s_.random(), 64, 6));
      growing_[i] = i;
      whole += final_[i];
    }
    steps step{s_.measured(), s_.measured().live(), whole, 30};
    for (std::size_t left = count_; left > 0;) {
      const std::size_t turn = s_.random().below(left);
      const std::uint32_t i = growing_[turn];
      const std::size_t wanted = list_[i].size + list_[i].size / 2;
      s_.resize(list_[i], wanted < final_[i] ? wanted : final_[i]);
      if (list_[i].size == final_[i]) growing_[turn] = growing_[--left];
      step.at(s_.measured().live());
    }
  }

  void edit() noexcept {
    steps step{s_.measured(), 0, list_.size(), 5};
    for (std::size_t i = 0; i < list_.size(); ++i) {
      const std::size_t by = s_.random().between(1, 8);
      s_.resize(list_[i], is_longer_ ? list_[i].size - by : list_[i].size + by);
      step.at(i + 1);
    }
    is_longer_ = !is_longer_;
  }

  stage<Memory>& s_;
  std::size_t count_;
  object_list list_;
  own_array<std::uint32_t> final_;
  own_array<std::uint32_t> growing_;  // of those that are not long enough yet, the number in the list
  bool is_longer_ = false;
};

}  // namespace return_to_os
