// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/help.hpp"

#include <algorithm>

#include "firesteel/cli/json.hpp"

namespace firesteel::cli {

namespace {

constexpr std::size_t kTextColumn = 34;
constexpr std::size_t kLineWidth = 108;

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size() + 1), ' ');
  return text;
}

/// Appends `text` at kTextColumn, broken at blanks.
std::string wrapped(std::string head, const std::string& text) {
  std::string out;
  std::string line = padded(std::move(head), kTextColumn);
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (line.size() + word.size() > kLineWidth && line.size() > kTextColumn) {
      out += line + "\n";
      line = std::string(kTextColumn, ' ');
    }
    line += word + " ";
    begin = end + 1;
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return out + line + "\n";
}

std::string option_lines(const std::vector<Option>& options) {
  std::string text;
  for (const auto& option : options) {
    std::string head = "  --" + option.name;
    if (option.kind != Option::Kind::boolean) head += " " + option.value_name;
    const std::string fallback = option.default_text.empty() ? "" : " [" + option.default_text + "]";
    text += wrapped(head, option.text + fallback);
  }
  return text;
}

std::string learner_title(const LearnerEntry& learner) {
  return "  " + padded(std::string(learner.name), 12) + std::string(learner.summary) + "\n";
}

std::string_view task_name(Task task) {
  switch (task) {
    case Task::classification:
      return "classification";
    case Task::clustering:
      return "clustering";
    case Task::recommendation:
      return "recommendation";
  }
  return "";
}

std::string_view type_name(ParameterInfo::Type type) {
  switch (type) {
    case ParameterInfo::Type::integer:
      return "integer";
    case ParameterInfo::Type::real:
      return "real";
    case ParameterInfo::Type::boolean:
      return "boolean";
    case ParameterInfo::Type::choice:
      return "choice";
    case ParameterInfo::Type::reals:
      return "reals";
    case ParameterInfo::Type::seed:
      return "seed";
    case ParameterInfo::Type::matrix:
      return "matrix";
  }
  return "";
}

/// A parameter's default as the JSON value of its type; null where it has none.
Json default_json(const ParameterInfo& parameter) {
  switch (parameter.type) {
    case ParameterInfo::Type::integer:
    case ParameterInfo::Type::real:
    case ParameterInfo::Type::seed:
      return Json::parse(parameter.value, nullptr, false);
    case ParameterInfo::Type::boolean:
      return parameter.value == "true";
    case ParameterInfo::Type::choice:
      return parameter.value;
    default:
      return nullptr;
  }
}

Json learner_json(const LearnerEntry& learner) {
  Json object = Json::object();
  object["learner"] = learner.name;
  object["task"] = task_name(learner.task);
  object["summary"] = learner.summary;
  object["parameters"] = Json::array();
  const auto fresh = learner.make();
  for (const auto& parameter : parameters_of(*fresh)) {
    Json entry = Json::object();
    entry["name"] = parameter.name;
    entry["option"] = "--" + parameter_option(parameter);
    entry["type"] = type_name(parameter.type);
    entry["default"] = default_json(parameter);
    entry["accepts"] = parameter.accepts;
    entry["text"] = parameter.text;
    object["parameters"].push_back(std::move(entry));
  }
  return object;
}

std::string learner_parameters(const LearnerEntry& learner) {
  return "Parameters of " + std::string(learner.name) + " (" + std::string(learner.summary) + ")\n" +
         option_lines(learner_options(learner));
}

/// A command line that trains this learner.
std::string training_example(const LearnerEntry& learner) {
  const std::string command = "firesteel train " + std::string(learner.name);
  switch (learner.task) {
    case Task::classification:
      return command + " --input day1.csv day2.csv --label clicked --output clicks.h5";
    case Task::clustering:
      return command + " --input 'points*.csv' --exclude id --output clusters.h5";
    case Task::recommendation:
      return command + " --input ratings.csv --user userId --item movieId --output films.h5";
  }
  return command;
}

}  // namespace

std::string general_help() {
  std::string text =
      "firesteel: partitioned in-memory data and iterative learners, one answer on any number of ranks\n\n"
      "Usage: firesteel [--ranks N] COMMAND ...      (or: mpirun -n N firesteel COMMAND ...)\n\nCommands\n";
  for (const auto& command : commands())
    text += "  " + padded(std::string(command.name), 12) + std::string(command.summary) + "\n      " +
            std::string(command.example) + "\n";
  text += "\nLearners\n";
  for (const auto& learner : learners()) text += learner_title(learner);
  text +=
      "\nfiresteel COMMAND --help           options of a command\n"
      "firesteel train LEARNER --help     and of a learner\n"
      "firesteel --ranks N COMMAND ...    starts mpirun with N ranks here\n"
      "  --max-restarts M                 and anew, up to M times, when a rank dies (docs/checkpoints.md)\n"
      "  --on-failure shrink              and the others go on where the MPI can; else anew (train)\n"
      "  --restart-delay S                first pause before that, in seconds; doubles [1]\n"
      "firesteel --version\n\n"
      "Exit codes: 0 done, 64 the words, 65 the data, 66 no such input, 69 doctor found a fault,\n"
      "70 internal, 71 memory, 73 output, 74 I/O midway, 75 stopped and can be resumed, 130 interrupted.\n";
  return text;
}

std::string command_help(const Command& command, const LearnerEntry* learner) {
  std::string usage(command.usage);
  std::string example(command.example);
  if (learner != nullptr && usage.starts_with("LEARNER")) usage.replace(0, 7, learner->name);
  if (learner != nullptr && command.verb == Verb::train) example = training_example(*learner);
  std::string text = "firesteel " + std::string(command.name) + " " + usage + "\n" +
                     std::string(command.summary) + "\n\nExample\n  " + example + "\n\nOptions\n" +
                     option_lines(command_options(command.verb));
  if (command.verb == Verb::train && learner != nullptr) text += "\n" + learner_parameters(*learner);
  if (command.verb == Verb::train && learner == nullptr) {
    text += "\nLearners (firesteel train LEARNER --help shows the parameters of one)\n";
    for (const auto& entry : learners()) text += learner_title(entry);
  }
  if (!command.lesson.empty()) text += "\nMore examples\n" + std::string(command.lesson);
  if (command.verb == Verb::doctor)
    text +=
        "\nOne line a check: ok, warning or failed, what was found, and the remedy. Under mpirun the worst "
        "of all\n"
        "ranks. Exit code 0 unless a check failed, then 69; the report is on stdout either way.\n";
  if (command.verb == Verb::score || command.verb == Verb::evaluate)
    text += "\nParameters of models that may be changed here\n" + option_lines(scoring_options());
  return text;
}

std::string learners_text(const LearnerEntry* learner) {
  if (learner != nullptr)
    return learner_parameters(*learner) + "\nBooleans are written --name, --no-name or --name=false.\n";
  std::string text;
  for (const auto& entry : learners()) text += learner_title(entry);
  return text + "\nfiresteel learners LEARNER shows the parameters of one.\n";
}

std::string learners_json(const LearnerEntry* learner) {
  Json object = Json::object();
  object["command"] = "learners";
  if (learner != nullptr) {
    object.update(learner_json(*learner));
  } else {
    object["learners"] = Json::array();
    for (const auto& entry : learners()) object["learners"].push_back(learner_json(entry));
  }
  return json_text(object);
}

}  // namespace firesteel::cli
