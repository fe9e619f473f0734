// SPDX-License-Identifier: Apache-2.0
#include "firesteel/cli/options.hpp"

#include <algorithm>
#include <boost/program_options.hpp>

#include "firesteel/core/error.hpp"

namespace firesteel::cli {

namespace {

namespace po = boost::program_options;
using Words = std::vector<std::string>;

const std::string kNegation = "no-";

const Option* find_option(const std::vector<Option>& known, std::string_view name) {
  const auto found =
      std::find_if(known.begin(), known.end(), [&](const Option& o) { return o.name == name; });
  return found == known.end() ? nullptr : &*found;
}

/// A word that can only be an option: values that begin with two dashes are written --name=--value.
bool is_option(std::string_view word) { return word.size() > 2 && word.starts_with("--"); }

/// A boolean is an option with an optional value, and one more that negates it.
po::options_description declare(const std::vector<Option>& known) {
  po::options_description declared;
  for (const auto& option : known) {
    const char* name = option.name.c_str();
    if (option.kind == Option::Kind::list) {
      declared.add_options()(name, po::value<Words>()->multitoken()->composing());
    } else if (option.kind == Option::Kind::boolean) {
      declared.add_options()(name, po::value<std::string>()->implicit_value("true"));
      declared.add_options()((kNegation + option.name).c_str(), po::value<std::string>()->zero_tokens());
    } else {
      declared.add_options()(name, po::value<std::string>());
    }
  }
  return declared;
}

[[noreturn]] void refuse_value(const Option& option, const std::string& got) {
  const bool boolean = option.kind == Option::Kind::boolean;
  throw bad_parameter("--" + option.name + ": expected " +
                      (boolean ? "true or false" : "a value (" + option.value_name + ")") + ", got " + got);
}

/// What Boost sees otherwise: --no-name is --name=false, a word after a boolean is a positional unless it
/// says true or false, and neither an option nor an empty word is a value.
void settle(po::option& parsed, const std::vector<Option>& known, Arguments& arguments) {
  auto& values = parsed.value;
  const bool apart = parsed.original_tokens.size() > 1;
  const Option* option = find_option(known, parsed.string_key);
  if (option == nullptr) {
    parsed.string_key.erase(0, kNegation.size());
    values = {"false"};
  } else if (option->kind == Option::Kind::boolean) {
    if (!values.empty() && (values.front() == "true" || values.front() == "false")) return;
    if (!values.empty() && !apart) refuse_value(*option, "'" + values.front() + "'");
    if (!values.empty()) arguments.add_positional(values.front());
    values = {"true"};  // Boost would not see a repeat of its implicit value
  } else if (apart && is_option(parsed.original_tokens[1])) {
    refuse_value(*option, "the option '" + parsed.original_tokens[1] + "'");
  } else if (std::find(values.begin(), values.end(), "") != values.end()) {
    refuse_value(*option, "''");
  }
}

Arguments parse(const Words& words, const po::options_description& declared,
                const std::vector<Option>& known) {
  using namespace po::command_line_style;
  po::parsed_options parsed = po::command_line_parser(words)
                                  .options(declared)
                                  .style(allow_long | long_allow_adjacent | long_allow_next)
                                  .allow_unregistered()
                                  .run();
  Arguments arguments;
  bool after_unknown = false;  // a word there is most likely the value of the unknown option
  for (auto& option : parsed.options) {
    if (option.unregistered)
      arguments.add_unknown(option.string_key);
    else if (!option.string_key.empty())
      settle(option, known, arguments);
    else if (!after_unknown)
      arguments.add_positional(option.value.front());
    after_unknown = option.unregistered && option.value.empty();
  }
  po::variables_map values;
  po::store(parsed, values);  // refuses repeats
  for (const auto& [name, value] : values) {
    const bool list = find_option(known, name)->kind == Option::Kind::list;
    arguments.add(name, list ? value.as<Words>() : Words{value.as<std::string>()});
  }
  return arguments;
}

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

void Arguments::add_positional(std::string word) {
  if (word.size() > 1 && word.front() == '-')
    throw bad_parameter("'" + word + "' is no option: options begin with two dashes, as --help");
  positionals_.push_back(std::move(word));
}

Arguments parse_arguments(std::span<const std::string> words, const std::vector<Option>& known) {
  const po::options_description declared = declare(known);
  try {
    return parse({words.begin(), words.end()}, declared, known);
  } catch (const po::invalid_syntax& error) {
    std::string name = error.get_option_name();
    if (name.starts_with("--")) name.erase(0, 2);
    if (name.empty()) throw bad_parameter("'--=' is no option: its name is missing");
    if (const Option* option = find_option(known, name))
      refuse_value(*option, error.kind() == po::invalid_syntax::missing_parameter ? "none" : "''");
    if (declared.find_nothrow(name, false) != nullptr) throw bad_parameter("--" + name + " takes no value");
    Arguments arguments;  // Boost looks at `--name=` before it looks at names
    arguments.add_unknown(name);
    return arguments;
  } catch (const po::multiple_occurrences& error) {
    throw bad_parameter(error.get_option_name() + " is given twice");
  } catch (const po::error& error) {
    throw bad_parameter(error.what());
  }
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
