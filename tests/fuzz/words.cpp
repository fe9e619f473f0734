// SPDX-License-Identifier: Apache-2.0
// The words of a command line, and the texts of parameters.
#include "firesteel/algorithms/learner.hpp"
#include "firesteel/cli/job.hpp"
#include "firesteel/core/error.hpp"
#include "support.hpp"

using namespace firesteel;

namespace {

/// One word a line.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    words.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

/// A value that a parameter took, shown and read again, is the same value.
void set_and_read_back(AnyLearner& learner, const ParameterInfo& parameter, std::string_view text) {
  set_parameter(learner, parameter.name, text);
  validate_parameters(learner);
  for (const auto& shown : parameters_of(learner)) {
    if (shown.name != parameter.name || shown.type == ParameterInfo::Type::matrix) continue;
    set_parameter(learner, shown.name, shown.value);
    for (const auto& again : parameters_of(learner))
      if (again.name == shown.name) fuzz::require_equal(shown.name, shown.value, again.value);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Choices choices(data, size);
  const std::uint8_t learner = choices.byte();
  const std::uint8_t which = choices.byte();
  const auto words = words_of(choices.rest());
  fuzz::outcome([&] {
    const cli::Job job = cli::check_words(words);
    if (job.command == nullptr) fuzz::broken("a job without a command");
    return std::string();
  });
  const auto made = learners()[learner % learners().size()].make();
  const auto parameters = parameters_of(*made);
  for (const auto& word : words)
    fuzz::outcome([&] {
      set_and_read_back(*made, parameters[which % parameters.size()], word);
      return std::string();
    });
  return 0;
}
