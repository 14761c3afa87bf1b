// SPDX-License-Identifier: BSL-1.0
// The long-running service: load the indexes, drop them, give back what is unused, again and again, with a short
// history that stays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <list>
#include <string>
#include <string_view>

#include "corpus.hpp"
#include "index.hpp"
#include "memory.hpp"
#include "process.hpp"
#include "report.hpp"

namespace word_index {

struct settings {
  std::size_t rounds = 3;
  std::size_t indexes = 0;  // 0: as many as make some 6 MiB of text
  std::size_t history = 2000;
  bool maps = true;
};

inline constexpr std::size_t words_per_record = 500;

/// Resident bytes at the start and in the last round, and what was alive then.
struct outcome {
  std::size_t start_resident;
  std::size_t loaded_resident;
  std::size_t dropped_resident;
  std::size_t trimmed_resident;
  std::size_t trimmed_live;
};

template <class Memory>
class service {
 public:
  service(const corpus& texts, const settings& how, const report& out)
      : texts_(texts), how_(how), out_(out), history_(how.history, memory_.allocator()) {}

  outcome work() {
    out_.title(Memory::title);
    out_.table_head(Memory::trim_call);
    outcome result{};
    result.start_resident = stage("start");
    for (std::size_t round = 1; round <= how_.rounds; ++round) {
      load();
      result.loaded_resident = stage("load", round);
      indexes_.clear();
      result.dropped_resident = stage("drop", round);
      memory_.trim();
      result.trimmed_resident = stage("trim", round);
    }
    result.trimmed_live = memory_.used().live_bytes;
    return result;
  }

 private:
  using allocator_type = typename Memory::allocator_type;

  // One index after the other, each over all texts, as for so many customers.
  void load() {
    for (std::size_t number = 0; number < how_.indexes; ++number) {
      auto& target = indexes_.emplace_back(memory_.allocator());
      std::uint32_t text_number = 0;
      for (std::string_view text : texts_.texts) {
        for_each_word(text, [&](std::string_view word, std::size_t line) {
          const position where{text_number, static_cast<std::uint32_t>(line)};
          target.add(word, where);
          if (++words_ % words_per_record == 0) history_.add(word, where);
        });
        ++text_number;
      }
    }
  }

  /// Prints what is held now; returns the resident bytes.
  std::size_t stage(const char* name, std::size_t round = 0) {
    const double milliseconds = processor_milliseconds() - since_;
    const std::size_t resident = resident_bytes();
    const usage used = memory_.used();
    char label[32];
    std::snprintf(label, sizeof label, round == 0 ? "%s" : "%s %zu", name, round);
    out_.row(label, used.live_bytes, used.mapped_bytes, resident, milliseconds);
    if (how_.maps) print_map();
    since_ = processor_milliseconds();  // printing is not part of the next stage
    return resident;
  }

  void print_map() {
    const std::string map = memory_.map();
    const std::size_t legend_end = map.find('\n') + 1;
    out_.map(std::string_view(map).substr(explained_ ? legend_end : 0));
    explained_ = true;
  }

  const corpus& texts_;
  const settings& how_;
  const report& out_;
  Memory memory_;  // before what lives in it
  history<allocator_type> history_;
  std::list<index<allocator_type>> indexes_;
  std::size_t words_ = 0;
  double since_ = processor_milliseconds();
  bool explained_ = false;
};

}  // namespace word_index
