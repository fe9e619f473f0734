// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/options.hpp"

#include <algorithm>

#include "firesteel/core/error.hpp"

namespace firesteel::cli {

namespace {

constexpr std::string_view kNegation = "no-";

const Option* find_option(const std::vector<Option>& known, std::string_view name) {
  const auto found =
      std::find_if(known.begin(), known.end(), [&](const Option& o) { return o.name == name; });
  return found == known.end() ? nullptr : &*found;
}

/// A word that can only be an option: values that begin with two dashes are written --name=--value.
bool is_option(std::string_view word) { return word.size() > 2 && word.starts_with("--"); }

/// Walks over the words of one command line.
class Parser {
 public:
  Parser(std::span<const std::string> words, const std::vector<Option>& known)
      : words_(words), known_(known) {}

  Arguments parse() {
    while (next_ < words_.size()) {
      const std::string& word = words_[next_++];
      if (is_option(word))
        take_option(word);
      else if (word.size() > 1 && word.front() == '-')
        throw bad_parameter("'" + word + "' is no option: options begin with two dashes, as --help");
      else
        arguments_.add_positional(word);
    }
    return std::move(arguments_);
  }

 private:
  void take_option(const std::string& word) {
    const auto equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    const bool has_value = equals != std::string::npos;
    const std::string value = has_value ? word.substr(equals + 1) : std::string();
    if (const Option* option = find_option(known_, name)) {
      if (option->kind == Option::Kind::boolean)
        take_boolean(*option, has_value, value);
      else
        take_values(*option, has_value, value);
    } else if (const Option* negated = find_negated(name)) {
      if (has_value)
        throw bad_parameter("--" + name + " takes no value; write --" + negated->name + "=" + value);
      arguments_.add(*negated, "false");
    } else {
      arguments_.add_unknown(name);
      if (!has_value && next_ < words_.size() && !is_option(words_[next_])) ++next_;
    }
  }

  const Option* find_negated(std::string_view name) const {
    if (!name.starts_with(kNegation)) return nullptr;
    const Option* option = find_option(known_, name.substr(kNegation.size()));
    return option != nullptr && option->kind == Option::Kind::boolean ? option : nullptr;
  }

  void take_boolean(const Option& option, bool has_value, std::string value) {
    const bool next_is_value =
        !has_value && next_ < words_.size() && (words_[next_] == "true" || words_[next_] == "false");
    if (next_is_value) value = words_[next_++];
    if (!has_value && !next_is_value) value = "true";
    if (value != "true" && value != "false")
      throw bad_parameter("--" + option.name + ": expected true or false, got '" + value + "'");
    arguments_.add(option, value);
  }

  void take_values(const Option& option, bool has_value, const std::string& value) {
    if (!has_value && (next_ == words_.size() || is_option(words_[next_])))
      throw bad_parameter("--" + option.name + ": expected a value (" + option.value_name + "), got " +
                          (next_ == words_.size() ? "none" : "the option '" + words_[next_] + "'"));
    add_value(option, has_value ? value : words_[next_++]);
    if (option.kind != Option::Kind::list) return;
    while (next_ < words_.size() && !is_option(words_[next_])) add_value(option, words_[next_++]);
  }

  void add_value(const Option& option, const std::string& value) {
    if (value.empty())
      throw bad_parameter("--" + option.name + ": expected a value (" + option.value_name + "), got ''");
    arguments_.add(option, value);
  }

  std::span<const std::string> words_;
  const std::vector<Option>& known_;
  std::size_t next_ = 0;
  Arguments arguments_;
};

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i)
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitution = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, substitution});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

}  // namespace

std::string Arguments::text(std::string_view name, std::string_view fallback) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::string(fallback) : found->second.front();
}

std::vector<std::string> Arguments::list(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

std::vector<std::string> Arguments::comma_list(std::string_view name) const {
  std::vector<std::string> parts;
  if (!given(name)) return parts;
  const std::string value = text(name);
  std::size_t begin = 0;
  while (true) {
    const auto comma = value.find(',', begin);
    parts.push_back(value.substr(begin, comma == std::string::npos ? comma : comma - begin));
    if (parts.back().empty())
      throw bad_parameter("--" + std::string(name) + ": expected names separated by commas, got '" + value +
                          "'");
    if (comma == std::string::npos) return parts;
    begin = comma + 1;
  }
}

void Arguments::add(const Option& option, std::string value) {
  auto& values = values_[option.name];
  if (!values.empty() && option.kind != Option::Kind::list)
    throw bad_parameter("--" + option.name + " is given twice");
  values.push_back(std::move(value));
}

Arguments parse_arguments(std::span<const std::string> words, const std::vector<Option>& known) {
  return Parser(words, known).parse();
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const auto& candidate : candidates) {
    // A beginning of the name is near whatever its length: abbreviations are not taken, but understood.
    const std::size_t d = word.size() >= 2 && candidate.starts_with(word) ? 1 : distance(word, candidate);
    if (d < best_distance && d < candidate.size()) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& candidates,
                       std::string_view prefix) {
  const std::string best = nearest(word, candidates);
  return best.empty() ? best : "; did you mean '" + std::string(prefix) + best + "'?";
}

}  // namespace firesteel::cli
