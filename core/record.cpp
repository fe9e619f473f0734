// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/record.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parallel.hpp"

namespace firesteel {

namespace {

/// SHA-256 fed with little-endian words (the hosts Firesteel runs on are little-endian).
class Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1)
      throw internal_error("SHA-256 is not available in this OpenSSL");
  }
  void bytes(const void* data, std::size_t count) {
    if (EVP_DigestUpdate(context_.get(), data, count) != 1) throw internal_error("SHA-256 failed");
  }
  template <class T>
  requires std::is_arithmetic_v<T>
  void add(T value) { bytes(&value, sizeof value); }
  void add(double value) {
    const double positive_zero = value == 0.0 ? 0.0 : value;  // files hold no -0.0
    bytes(&positive_zero, sizeof positive_zero);
  }
  void add(const std::string& text) {
    add(static_cast<std::uint64_t>(text.size()));
    bytes(text.data(), text.size());
  }
  template <class T>
  void add(const RecordArray<T>& array) {
    add(static_cast<std::uint64_t>(array.shape.size()));
    for (const Index extent : array.shape) add(extent);
    for (const auto& value : array.values) add(value);
  }
  std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned length = 0;
    if (EVP_DigestFinal_ex(context_.get(), digest.data(), &length) != 1)
      throw internal_error("SHA-256 failed");
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (unsigned i = 0; i < length; ++i) {
      text += kDigits[digest[i] >> 4];
      text += kDigits[digest[i] & 15];
    }
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

std::string shape_text(const std::vector<Index>& shape) {
  std::string text;
  for (const Index extent : shape) text += (text.empty() ? "" : " x ") + std::to_string(extent);
  return text;
}

}  // namespace

void Record::set(std::string name, RecordValue value) {
  if (contains(name)) throw internal_error("a record has '" + name + "' twice");
  entries_.emplace_back(std::move(name), std::move(value));
}

void Record::set_matrix(std::string name, Index rows, Index columns, std::vector<double> values) {
  if (static_cast<Index>(values.size()) != rows * columns)
    throw internal_error("'" + name + "' has not its shape");
  set(std::move(name), RecordArray<double>{{rows, columns}, std::move(values)});
}

void Record::set_vector(std::string name, std::vector<double> values) {
  const auto length = static_cast<Index>(values.size());
  set(std::move(name), RecordArray<double>{{length}, std::move(values)});
}

bool Record::contains(std::string_view name) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const auto& entry) { return entry.first == name; });
}

const RecordValue& Record::find(std::string_view name) const {
  for (const auto& entry : entries_)
    if (entry.first == name) return entry.second;
  throw bad_input("the model has no '" + std::string(name) + "': it is damaged or of another version");
}

void Record::throw_wrong_kind(std::string_view name) {
  throw bad_input("the model's '" + std::string(name) +
                  "' is of another type than expected: it is damaged or of another version");
}

const RecordArray<double>& Record::matrix(std::string_view name, Index rows, Index columns) const {
  const auto& array = get<RecordArray<double>>(name);
  if (array.shape.size() != 2 || (rows >= 0 && array.shape[0] != rows) ||
      (columns >= 0 && array.shape[1] != columns))
    throw bad_input("the model's '" + std::string(name) + "' is " + shape_text(array.shape) + ", expected " +
                    (rows < 0 ? "any" : std::to_string(rows)) + " x " +
                    (columns < 0 ? "any" : std::to_string(columns)));
  return array;
}

const RecordArray<double>& Record::vector(std::string_view name, Index length) const {
  const auto& array = get<RecordArray<double>>(name);
  if (array.shape.size() != 1 || (length >= 0 && array.shape[0] != length))
    throw bad_input("the model's '" + std::string(name) + "' has shape " + shape_text(array.shape) +
                    ", expected " + (length < 0 ? "one dimension" : std::to_string(length)));
  return array;
}

std::string Record::sha256() const {
  const FloatEnvironment environment;  // where denormals are zeros, they would be taken for -0.0
  std::vector<std::size_t> order(entries_.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return entries_[a].first < entries_[b].first; });
  Digest digest;
  for (const std::size_t i : order) {
    digest.add(entries_[i].first);
    digest.add(static_cast<std::uint64_t>(entries_[i].second.index()));
    std::visit([&](const auto& value) { digest.add(value); }, entries_[i].second);
  }
  return digest.hex();
}

namespace {
std::string key(std::string_view name) { return "parameters/" + std::string(name); }
}  // namespace

void RecordWriterVisitor::integer(std::string_view name, Index& value, Range, std::string_view) {
  record_.set(key(name), value);
}
void RecordWriterVisitor::real(std::string_view name, double& value, Range, std::string_view) {
  record_.set(key(name), value);
}
void RecordWriterVisitor::boolean(std::string_view name, bool& value, std::string_view) {
  record_.set(key(name), value);
}
void RecordWriterVisitor::choice(std::string_view name, std::string& value, const std::vector<std::string>&,
                                 std::string_view) {
  record_.set(key(name), value);
}
void RecordWriterVisitor::reals(std::string_view name, std::vector<double>& value, Range, std::string_view) {
  if (!value.empty()) record_.set_vector(key(name), value);
}
void RecordWriterVisitor::seed(std::string_view name, std::uint64_t& value, std::string_view) {
  record_.set(key(name), value);
}
void RecordWriterVisitor::matrix(std::string_view name, Matrix& value, std::string_view) {
  if (!value.empty()) record_.set_matrix(key(name), value.rows, value.columns, value.values);
}

void RecordReaderVisitor::integer(std::string_view name, Index& value, Range, std::string_view) {
  value = record_.get<std::int64_t>(key(name));
}
void RecordReaderVisitor::optional_integer(std::string_view name, std::optional<Index>& value, Index, Range,
                                           std::string_view) {
  value = record_.get<std::int64_t>(key(name));
}
void RecordReaderVisitor::real(std::string_view name, double& value, Range, std::string_view) {
  value = record_.get<double>(key(name));
}
void RecordReaderVisitor::boolean(std::string_view name, bool& value, std::string_view) {
  value = record_.get<bool>(key(name));
}
void RecordReaderVisitor::choice(std::string_view name, std::string& value, const std::vector<std::string>&,
                                 std::string_view) {
  value = record_.get<std::string>(key(name));
}
void RecordReaderVisitor::reals(std::string_view name, std::vector<double>& value, Range, std::string_view) {
  value.clear();
  if (record_.contains(key(name))) value = record_.vector(key(name), -1).values;
}
void RecordReaderVisitor::seed(std::string_view name, std::uint64_t& value, std::string_view) {
  value = record_.get<std::uint64_t>(key(name));
}
void RecordReaderVisitor::matrix(std::string_view name, Matrix& value, std::string_view) {
  value = {};
  if (!record_.contains(key(name))) return;
  const auto& array = record_.matrix(key(name), -1, -1);
  value = {array.shape[0], array.shape[1], array.values};
}

}  // namespace firesteel
