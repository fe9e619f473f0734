// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "firesteel/core/index.hpp"
#include "firesteel/core/parameters.hpp"

namespace firesteel {

/// An array of a record: values in row-major order.
template <class T>
struct RecordArray {
  std::vector<Index> shape;
  std::vector<T> values;

  friend bool operator==(const RecordArray&, const RecordArray&) = default;
};

/// Scalars become attributes of a model file, arrays datasets.
using RecordValue = std::variant<bool, std::int64_t, std::uint64_t, double, std::string, RecordArray<double>,
                                 RecordArray<std::int64_t>, RecordArray<std::string>>;

/// What a model consists of, as names and values, between learners (which know no files) and files (which
/// know no learners). Names are paths: "coefficients", "parameters/max_iter". Order of insertion is kept.
/// Replicated.
class Record {
 public:
  void set(std::string name, RecordValue value);
  void set_matrix(std::string name, Index rows, Index columns, std::vector<double> values);
  void set_vector(std::string name, std::vector<double> values);

  bool contains(std::string_view name) const;
  const std::vector<std::pair<std::string, RecordValue>>& entries() const { return entries_; }

  /// The value of that name and type. Throws bad_input naming what is absent or of another kind.
  template <class T>
  const T& get(std::string_view name) const {
    const RecordValue& value = find(name);
    if (const T* typed = std::get_if<T>(&value)) return *typed;
    throw_wrong_kind(name);
  }
  /// As get<RecordArray<double>>, checked to be rows x columns (−1: any). Throws bad_input with both shapes.
  const RecordArray<double>& matrix(std::string_view name, Index rows, Index columns) const;
  /// An array of `length` values (−1: any).
  const RecordArray<double>& vector(std::string_view name, Index length) const;

  /// SHA-256 over names, types, shapes and little-endian values, names in byte order: the same for any file
  /// version.
  std::string sha256() const;

 private:
  const RecordValue& find(std::string_view name) const;
  [[noreturn]] static void throw_wrong_kind(std::string_view name);

  std::vector<std::pair<std::string, RecordValue>> entries_;
};

/// Stores every declared parameter under "parameters/NAME" / reads them back (bad_input where one is absent).
template <class Described>
void parameters_to_record(Described& described, Record& record);
template <class Described>
void parameters_from_record(Described& described, const Record& record);

class RecordWriterVisitor final : public ParameterVisitor {
 public:
  explicit RecordWriterVisitor(Record& record) : record_(record) {}
  void integer(std::string_view name, Index& value, Range, std::string_view) override;
  void real(std::string_view name, double& value, Range, std::string_view) override;
  void boolean(std::string_view name, bool& value, std::string_view) override;
  void choice(std::string_view name, std::string& value, const std::vector<std::string>&,
              std::string_view) override;
  void reals(std::string_view name, std::vector<double>& value, Range, std::string_view) override;
  void seed(std::string_view name, std::uint64_t& value, std::string_view) override;
  void matrix(std::string_view name, Matrix& value, std::string_view) override;

 private:
  Record& record_;
};

class RecordReaderVisitor final : public ParameterVisitor {
 public:
  explicit RecordReaderVisitor(const Record& record) : record_(record) {}
  void integer(std::string_view name, Index& value, Range, std::string_view) override;
  void real(std::string_view name, double& value, Range, std::string_view) override;
  void boolean(std::string_view name, bool& value, std::string_view) override;
  void choice(std::string_view name, std::string& value, const std::vector<std::string>&,
              std::string_view) override;
  void reals(std::string_view name, std::vector<double>& value, Range, std::string_view) override;
  void seed(std::string_view name, std::uint64_t& value, std::string_view) override;
  void matrix(std::string_view name, Matrix& value, std::string_view) override;
  void optional_integer(std::string_view name, std::optional<Index>& value, Index, Range,
                        std::string_view) override;

 private:
  const Record& record_;
};

template <class Described>
void parameters_to_record(Described& described, Record& record) {
  RecordWriterVisitor writer(record);
  described.describe(writer);
}

template <class Described>
void parameters_from_record(Described& described, const Record& record) {
  RecordReaderVisitor reader(record);
  described.describe(reader);
}

}  // namespace firesteel
