// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "firesteel/core/index.hpp"

namespace firesteel {

/// The values a number parameter may take.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false;
  bool high_open = false;

  bool contains(double value) const;  ///< false for NaN
  std::string describe() const;       ///< ">= 1", "in [0, 1]", "> 0"
};
inline Range at_least(double low) { return {.low = low}; }
inline Range greater_than(double low) { return {.low = low, .low_open = true}; }
inline Range between(double low, double high) { return {.low = low, .high = high}; }

/// A matrix parameter, row-major.
struct Matrix {
  Index rows = 0;
  Index columns = 0;
  std::vector<double> values;

  bool empty() const { return values.empty(); }
};

/// Visits the parameters of a learner. A learner declares each of its members once, in `void
/// describe(ParameterVisitor&)`: name (snake_case), the member (its initialiser is the default), what it may
/// be, and one line of text. From there it reaches the command line, --help, validation, the model file and
/// the docs.
class ParameterVisitor {
 public:
  virtual ~ParameterVisitor() = default;
  virtual void integer(std::string_view name, Index& value, Range range, std::string_view text) = 0;
  virtual void real(std::string_view name, double& value, Range range, std::string_view text) = 0;
  virtual void boolean(std::string_view name, bool& value, std::string_view text) = 0;
  virtual void choice(std::string_view name, std::string& value, const std::vector<std::string>& options,
                      std::string_view text) = 0;
  /// A list of numbers, each in `range`; empty: unset.
  virtual void reals(std::string_view name, std::vector<double>& value, Range range,
                     std::string_view text) = 0;
  /// 0 … 2^64 − 1.
  virtual void seed(std::string_view name, std::uint64_t& value, std::string_view text) = 0;
  /// A matrix; on the command line it is read from the file that `--NAME-file` names. Empty: unset.
  virtual void matrix(std::string_view name, Matrix& value, std::string_view text) = 0;
  /// A whole number that counts as `otherwise` while it is unset, so that a learner can tell a default from
  /// the same number asked for. Visitors that only look see an integer; those that write override this.
  virtual void optional_integer(std::string_view name, std::optional<Index>& value, Index otherwise,
                                Range range, std::string_view text) {
    Index shown = value.value_or(otherwise);
    integer(name, shown, range, text);
  }
  /// A condition on parameters together, declared after them. Validation throws bad_parameter(otherwise)
  /// where it does not hold; other visitors pass over it.
  virtual void require([[maybe_unused]] bool holds, [[maybe_unused]] std::string_view otherwise) {}
};

/// One declared parameter, for tables and help.
struct ParameterInfo {
  enum class Type { integer, real, boolean, choice, reals, seed, matrix };
  std::string name;  ///< snake_case
  Type type = Type::integer;
  std::string value;    ///< the present value as text: the default, if the learner is fresh
  std::string accepts;  ///< ">= 1", "auto | binomial | multinomial", …
  std::string text;
  Range range;  ///< of number types
  std::vector<std::string> options;
  std::uint64_t content = 0;  ///< of a matrix: a hash of its numbers, which `value` leaves out
};

/// What a describe() declares. `describe` is any callable on a ParameterVisitor&.
template <class Described>
std::vector<ParameterInfo> parameters_of(Described& described);

/// Throws bad_parameter naming the parameter, its value and what it may be.
template <class Described>
void validate_parameters(Described& described);

/// Sets the parameter `name` (snake_case) from text. False if there is none of that name; throws
/// bad_parameter
/// ("--max-iter: expected a whole number >= 0, got '2.5'") if the text does not fit. Matrix parameters are
/// not set here.
template <class Described>
bool set_parameter(Described& described, std::string_view name, std::string_view text);

/// `max_iter` → `--max-iter`.
std::string option_name(std::string_view parameter_name);

/// Numbers as shown and stored everywhere: the shortest text that reads back to the same double; nan, inf,
/// -inf.
std::string number_text(double value);

/// Reads a whole text as a finite number / a whole number; nullopt where it is not one.
std::optional<double> parse_number(std::string_view text);
std::optional<std::int64_t> parse_integer(std::string_view text);

// Implementation of the templates: visitors over the type-erased interface.
class ParameterLister final : public ParameterVisitor {
 public:
  std::vector<ParameterInfo> list;
  void integer(std::string_view name, Index& value, Range range, std::string_view text) override;
  void real(std::string_view name, double& value, Range range, std::string_view text) override;
  void boolean(std::string_view name, bool& value, std::string_view text) override;
  void choice(std::string_view name, std::string& value, const std::vector<std::string>& options,
              std::string_view text) override;
  void reals(std::string_view name, std::vector<double>& value, Range range, std::string_view text) override;
  void seed(std::string_view name, std::uint64_t& value, std::string_view text) override;
  void matrix(std::string_view name, Matrix& value, std::string_view text) override;
};

class ParameterValidator final : public ParameterVisitor {
 public:
  void integer(std::string_view name, Index& value, Range range, std::string_view text) override;
  void real(std::string_view name, double& value, Range range, std::string_view text) override;
  void boolean(std::string_view, bool&, std::string_view) override {}
  void choice(std::string_view name, std::string& value, const std::vector<std::string>& options,
              std::string_view text) override;
  void reals(std::string_view name, std::vector<double>& value, Range range, std::string_view text) override;
  void seed(std::string_view, std::uint64_t&, std::string_view) override {}
  void matrix(std::string_view, Matrix&, std::string_view) override {}
  void require(bool holds, std::string_view otherwise) override;
};

class ParameterSetter final : public ParameterVisitor {
 public:
  ParameterSetter(std::string_view name, std::string_view text) : name_(name), text_(text) {}
  bool found() const { return found_; }
  void integer(std::string_view name, Index& value, Range range, std::string_view text) override;
  void real(std::string_view name, double& value, Range range, std::string_view text) override;
  void boolean(std::string_view name, bool& value, std::string_view text) override;
  void choice(std::string_view name, std::string& value, const std::vector<std::string>& options,
              std::string_view text) override;
  void reals(std::string_view name, std::vector<double>& value, Range range, std::string_view text) override;
  void seed(std::string_view name, std::uint64_t& value, std::string_view text) override;
  void matrix(std::string_view name, Matrix& value, std::string_view text) override;
  void optional_integer(std::string_view name, std::optional<Index>& value, Index otherwise, Range range,
                        std::string_view text) override;

 private:
  bool matches(std::string_view name);
  std::string_view name_;
  std::string_view text_;
  bool found_ = false;
};

template <class Described>
std::vector<ParameterInfo> parameters_of(Described& described) {
  ParameterLister lister;
  described.describe(lister);
  return lister.list;
}

template <class Described>
void validate_parameters(Described& described) {
  ParameterValidator validator;
  described.describe(validator);
}

template <class Described>
bool set_parameter(Described& described, std::string_view name, std::string_view text) {
  ParameterSetter setter(name, text);
  described.describe(setter);
  return setter.found();
}

}  // namespace firesteel
