// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/arrow/arrow_values.hpp"

#include <arrow/array/array_decimal.h>
#include <arrow/array/array_dict.h>
#include <arrow/scalar.h>
#include <arrow/type.h>
#include <arrow/util/float16.h>

#include <type_traits>

namespace firesteel {

namespace {

using Doubles = std::vector<double>;
using Integers = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;

/// Calls body(i) for every value that is there.
template <class Body>
void for_present(const arrow::Array& array, Body&& body) {
  const std::int64_t rows = array.length();
  if (array.null_count() == 0) {
    for (std::int64_t i = 0; i < rows; ++i) body(i);
  } else {
    for (std::int64_t i = 0; i < rows; ++i)
      if (array.IsValid(i)) body(i);
  }
}

template <class ArrayType, class T>
void copy_numbers(const arrow::Array& array, std::vector<T>& out) {
  const auto* values = static_cast<const ArrayType&>(array).raw_values();
  for (std::int64_t i = 0; i < array.length(); ++i)
    out[static_cast<std::size_t>(i)] = static_cast<T>(values[i]);
}

/// Numbers of any type as T.
template <class T>
void numbers(const arrow::Array& array, std::vector<T>& out) {
  // Of values that are not there some types leave what was before.
  out.assign(array.null_count() > 0 ? static_cast<std::size_t>(array.length()) : 0, T{});
  out.resize(static_cast<std::size_t>(array.length()));
  switch (array.type_id()) {
    case arrow::Type::BOOL:
      return for_present(array, [&](std::int64_t i) {
        out[static_cast<std::size_t>(i)] = static_cast<const arrow::BooleanArray&>(array).Value(i) ? 1 : 0;
      });
    case arrow::Type::INT8:
      return copy_numbers<arrow::Int8Array>(array, out);
    case arrow::Type::INT16:
      return copy_numbers<arrow::Int16Array>(array, out);
    case arrow::Type::INT32:
      return copy_numbers<arrow::Int32Array>(array, out);
    case arrow::Type::INT64:
      return copy_numbers<arrow::Int64Array>(array, out);
    case arrow::Type::UINT8:
      return copy_numbers<arrow::UInt8Array>(array, out);
    case arrow::Type::UINT16:
      return copy_numbers<arrow::UInt16Array>(array, out);
    case arrow::Type::UINT32:
      return copy_numbers<arrow::UInt32Array>(array, out);
    case arrow::Type::UINT64:
      return copy_numbers<arrow::UInt64Array>(array, out);
    case arrow::Type::FLOAT:
      return copy_numbers<arrow::FloatArray>(array, out);
    case arrow::Type::DOUBLE:
      return copy_numbers<arrow::DoubleArray>(array, out);
    case arrow::Type::HALF_FLOAT:
      return for_present(array, [&](std::int64_t i) {
        const auto bits = static_cast<const arrow::HalfFloatArray&>(array).Value(i);
        out[static_cast<std::size_t>(i)] = static_cast<T>(arrow::util::Float16::FromBits(bits).ToDouble());
      });
    case arrow::Type::NA:
      return;
    default:
      break;
  }
  // Decimals: by their text, which rounds once.
  for_present(array, [&](std::int64_t i) {
    const std::string text = value_of(array.GetScalar(i))->ToString();
    if constexpr (std::is_same_v<T, double>) out[static_cast<std::size_t>(i)] = std::stod(text);
  });
}

template <class ArrayType>
void copy_texts(const arrow::Array& array, Texts& out) {
  const auto& texts = static_cast<const ArrayType&>(array);
  for_present(array, [&](std::int64_t i) { out[static_cast<std::size_t>(i)] = texts.GetView(i); });
}

void texts(const arrow::Array& array, Texts& out) {
  out.assign(static_cast<std::size_t>(array.length()), std::string());
  switch (array.type_id()) {
    case arrow::Type::STRING:
      return copy_texts<arrow::StringArray>(array, out);
    case arrow::Type::LARGE_STRING:
      return copy_texts<arrow::LargeStringArray>(array, out);
    case arrow::Type::STRING_VIEW:
      return copy_texts<arrow::StringViewArray>(array, out);
    default:
      break;
  }
  for_present(array, [&](std::int64_t i) {
    out[static_cast<std::size_t>(i)] = value_of(array.GetScalar(i))->ToString();
  });
}

/// A dictionary's values, one a row.
template <class T>
std::vector<T> by_index(const arrow::DictionaryArray& array, const std::vector<T>& dictionary) {
  std::vector<T> out(static_cast<std::size_t>(array.length()));
  for_present(array, [&](std::int64_t i) {
    const auto index = static_cast<std::size_t>(array.GetValueIndex(i));
    if (index >= dictionary.size()) throw std::runtime_error("an index beyond its dictionary");
    out[static_cast<std::size_t>(i)] = dictionary[index];
  });
  return out;
}

/// The memory of the batch before, where it is of the same type.
template <class Values>
Values& reused(TableValues& out) {
  if (auto* before = std::get_if<Values>(&out.values)) return *before;
  return out.values.emplace<Values>();
}

}  // namespace

TableKind kind_of(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::NA:
    case arrow::Type::BOOL:
    case arrow::Type::INT8:
    case arrow::Type::INT16:
    case arrow::Type::INT32:
    case arrow::Type::INT64:
    case arrow::Type::UINT8:
    case arrow::Type::UINT16:
    case arrow::Type::UINT32:
      return TableKind::whole;
    case arrow::Type::UINT64:  // beyond 63 bits
    case arrow::Type::HALF_FLOAT:
    case arrow::Type::FLOAT:
    case arrow::Type::DOUBLE:
    case arrow::Type::DECIMAL128:
    case arrow::Type::DECIMAL256:
      return TableKind::real;
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::STRING_VIEW:
    case arrow::Type::DATE32:
    case arrow::Type::DATE64:
    case arrow::Type::TIMESTAMP:
    case arrow::Type::TIME32:
    case arrow::Type::TIME64:
      return TableKind::text;
    case arrow::Type::DICTIONARY:
      return kind_of(*static_cast<const arrow::DictionaryType&>(type).value_type());
    default:
      return TableKind::other;
  }
}

void arrow_values(const arrow::Array& array, TableKind kind, TableWant want, TableValues& out) {
  out.missing.clear();
  if (array.type_id() == arrow::Type::DICTIONARY) {
    const auto& coded = static_cast<const arrow::DictionaryArray&>(array);
    TableValues dictionary;
    arrow_values(*coded.dictionary(), kind, want, dictionary);
    std::visit([&](const auto& values) { out.values = by_index(coded, values); }, dictionary.values);
    if (!dictionary.missing.empty()) {  // a missing value may stand in the dictionary too
      const auto flags = by_index(coded, dictionary.missing);
      out.missing = flags;
    }
  } else if (kind == TableKind::text) {
    texts(array, reused<Texts>(out));
  } else if (kind == TableKind::whole && want == TableWant::as_it_is) {
    numbers(array, reused<Integers>(out));
  } else {
    numbers(array, reused<Doubles>(out));
  }
  if (array.null_count() > 0) {
    out.missing.resize(static_cast<std::size_t>(array.length()), 0);
    for (std::int64_t i = 0; i < array.length(); ++i)
      if (array.IsNull(i)) out.missing[static_cast<std::size_t>(i)] = 1;
  }
}

}  // namespace firesteel
