// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace firesteel::cli {

/// One option as declared: everything that parsing and help need to know of it.
struct Option {
  enum class Kind {
    value,    ///< --name VALUE or --name=VALUE, once
    boolean,  ///< --name, --no-name, --name=true, --name=false, once
    list      ///< --name VALUE…, may be repeated
  };
  std::string name;  ///< kebab-case, without dashes
  Kind kind = Kind::value;
  std::string value_name;    ///< as help shows it: NAME
  std::string text;          ///< one line of help
  std::string default_text;  ///< as help shows it; empty: none
};

/// What the words of a command line say, before their values are looked at.
class Arguments {
 public:
  bool given(std::string_view name) const { return values_.find(name) != values_.end(); }
  /// The value of an option; `fallback` where it was not given.
  std::string text(std::string_view name, std::string_view fallback = {}) const;
  bool boolean(std::string_view name, bool fallback) const {
    return text(name, fallback ? "true" : "false") == "true";
  }
  /// All values of a list option.
  std::vector<std::string> list(std::string_view name) const;
  /// A value split at commas. Throws bad_parameter where a part is empty.
  std::vector<std::string> comma_list(std::string_view name) const;

  const std::vector<std::string>& positionals() const { return positionals_; }
  /// The options given, by name.
  const std::map<std::string, std::vector<std::string>, std::less<>>& options() const { return values_; }
  /// Options that no declaration knows, as they were written, without dashes, in order.
  const std::vector<std::string>& unknown() const { return unknown_; }

  void add(const std::string& name, std::vector<std::string> values) { values_[name] = std::move(values); }
  /// Throws bad_parameter where the word begins with a dash: no file and no learner is meant.
  void add_positional(std::string word);
  void add_unknown(std::string name) { unknown_.push_back(std::move(name)); }

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  std::vector<std::string> positionals_;
  std::vector<std::string> unknown_;
};

/// Splits words into options and positionals, by Boost.Program_options. Options are written in full, as
/// `--name value` or `--name=value`; a value may be negative (`--label -1`). Throws bad_parameter for a value
/// that is missing or not wanted and for an option given twice; options that are not in `known` are collected
/// in unknown().
Arguments parse_arguments(std::span<const std::string> words, const std::vector<Option>& known);

/// The candidate that `word` was most likely meant to be; empty where none is near. Distance is the number of
/// insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

/// "; did you mean 'X'?", or nothing where no candidate is near.
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates,
                       std::string_view prefix = {});

}  // namespace firesteel::cli
