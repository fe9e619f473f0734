// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy and .npz as files of arrays.
#include <algorithm>
#include <cstring>
#include <map>

#include "firesteel/core/error.hpp"
#include "firesteel/io/array_source.hpp"
#include "firesteel/io/numpy_array.hpp"
#include "firesteel/io/zip_file.hpp"

namespace firesteel {

namespace {

constexpr Index kPieceBytes = Index{1} << 20;
constexpr std::string_view kSuffix = ".npy";
/// What the one array of a .npy file is called.
constexpr const char* kWholeFile = "features";

std::size_t size(Index i) { return static_cast<std::size_t>(i); }

/// What users call the arrays that are `features` and `label` by default.
std::vector<std::string> other_names(const std::string& name) {
  if (name == "features") return {"X", "x", "arr_0"};
  if (name == "label") return {"y", "Y", "labels", "arr_1"};
  return {};
}

/// One array of a file.
struct NumpyMember {
  const ZipMember* member = nullptr;
  NumpyHeader header;
};

class NumpySource final : public ArraySource {
 public:
  NumpySource(const std::string& path, Index file_number)
      : ArraySource(path, file_number), zip_(path, file_number, kWholeFile) {}

  std::uint64_t most_bytes() const override {
    return static_cast<std::uint64_t>(zip_.bytes()) * 1100 + (std::uint64_t{256} << 20);
  }

  bool has(const std::string& name) const override {
    return (name == "features" && is_sparse()) || find(name) != nullptr;
  }
  bool is_group(const std::string& name) const override { return name == "features" && is_sparse(); }

  std::vector<std::string> contents() const override {
    std::vector<std::string> names;
    for (const auto& member : zip_.members()) names.push_back(without_suffix(member.name));
    return names;
  }

  SourceArray array(const std::string& name, int dimensions) const override {
    const NumpyHeader& header = open(name).header;
    SourceArray array;
    array.kind = header.is_text()       ? ValueKind::text
                 : header.is_real()     ? ValueKind::real
                 : header.is_unsigned() ? ValueKind::unsigned_integer
                                        : ValueKind::integer;
    array.shape = header.shape;
    const auto found = static_cast<int>(array.shape.size());
    if (found == 1 && dimensions == 2)
      array.shape.push_back(1);
    else if (found == 2 && dimensions == 1 && array.shape[1] == 1)
      array.shape.pop_back();
    else if (found != dimensions)
      fail("expected '" + name + "' to have " + std::to_string(dimensions) + " dimension" +
           (dimensions == 1 ? "" : "s") + ", found " + shape_text(array.shape));
    return array;
  }

  void read(const std::string& name, Index first, Index rows, double* out) const override {
    read_run(open(name), first, rows, out);
  }
  void read(const std::string& name, Index first, Index rows, std::int64_t* out) const override {
    read_run(open(name), first, rows, out);
  }
  void read(const std::string& name, Index first, Index rows, std::uint64_t* out) const override {
    read_run(open(name), first, rows, out);
  }

  void read(const std::string& name, Index first, Index rows, Index first_column, Index columns,
            double* out) const override {
    const NumpyMember& member = open(name);
    const NumpyHeader& header = member.header;
    const Index all_rows = header.shape[0];
    const Index all_columns = header.shape.size() == 1 ? 1 : header.shape[1];
    if (!header.fortran_order || all_columns == 1) {
      if (columns == all_columns) return read_run(member, first * columns, rows * columns, out);
      for (Index row = 0; row < rows; ++row)
        read_run(member, (first + row) * all_columns + first_column, columns, out + row * columns);
      return;
    }
    std::vector<double> column(size(rows));
    for (Index j = 0; j < columns; ++j) {
      read_run(member, (first_column + j) * all_rows + first, rows, column.data());
      for (Index row = 0; row < rows; ++row) out[row * columns + j] = column[size(row)];
    }
  }

  std::vector<std::string> read_texts(const std::string& name, Index first, Index rows) const override {
    const NumpyMember& member = open(name);
    const Index bytes = member.header.value_bytes;
    if (!member.header.is_text()) fail("expected '" + name + "' to hold texts, found numbers");
    std::vector<std::string> texts;
    std::vector<unsigned char> value(size(bytes));
    for (Index row = first; row < first + rows; ++row) {
      read_bytes(member, row * bytes, value);
      texts.push_back(numpy_text(member.header, value.data()));
    }
    return texts;
  }

  std::optional<std::vector<std::string>> texts_attribute(const std::string&,
                                                          const std::string& name) const override {
    if (name != "feature_names" || find(name) == nullptr) return std::nullopt;
    const Index count = array(name, 1).shape[0];
    return read_texts(name, 0, count);
  }
  std::optional<std::vector<std::int64_t>> integers_attribute(const std::string& object,
                                                              const std::string& name) const override {
    if (object != "features" || name != "shape" || !is_sparse()) return std::nullopt;
    const SourceArray shape = array("shape", 1);
    if (shape.kind == ValueKind::text || shape.kind == ValueKind::real || shape.shape[0] != 2)
      fail("'shape' is not a number of rows and a number of columns");
    std::vector<std::int64_t> values(2);
    read("shape", 0, 2, values.data());
    return values;
  }

 private:
  static std::string without_suffix(const std::string& name) {
    return name.ends_with(kSuffix) ? name.substr(0, name.size() - kSuffix.size()) : name;
  }

  /// As scipy.sparse.save_npz writes it.
  bool is_sparse() const {
    if (find_exactly("indptr") == nullptr || find_exactly("indices") == nullptr) return false;
    if (find_exactly("format") == nullptr) return true;
    const NumpyMember format = look_at(find_exactly("format"), "format");
    if (!format.header.is_text() || !format.header.shape.empty()) return true;
    std::vector<unsigned char> value(size(format.header.value_bytes));
    read_bytes(format, 0, value);
    const std::string text = numpy_text(format.header, value.data());
    if (text != "csr") fail("sparse rows are stored as '" + text + "': save them as csr (.tocsr())");
    return true;
  }

  const ZipMember* find_exactly(const std::string& name) const {
    for (const auto& member : zip_.members())
      if (without_suffix(member.name) == name) return &member;
    return nullptr;
  }
  const ZipMember* find(const std::string& name) const {
    const bool part = name.starts_with("features/") && is_sparse();
    const std::string wanted = part ? name.substr(name.find('/') + 1) : name;
    if (const auto* found = find_exactly(wanted)) return found;
    for (const auto& other : other_names(wanted))
      if (const auto* found = find_exactly(other)) return found;
    return nullptr;
  }

  /// Bytes of an array's values.
  void read_bytes(const NumpyMember& member, Index begin, std::span<unsigned char> out) const {
    zip_.read(*member.member, member.header.header_bytes + begin, out);
  }

  NumpyMember look_at(const ZipMember* in_zip, const std::string& name) const {
    NumpyMember member{.member = in_zip, .header = {}};
    const Index all = in_zip->bytes;
    std::string header(size(std::min(all, kNumpyPrefixBytes)), '\0');
    const auto read_header = [&] {
      zip_.read(*in_zip, 0, {reinterpret_cast<unsigned char*>(header.data()), header.size()});
    };
    read_header();
    const Index header_bytes = numpy_header_bytes(header);
    if (header_bytes == 0) fail("'" + name + "' is no .npy array");
    if (header_bytes > all || header_bytes > kMostNumpyHeaderBytes)
      fail("the header of '" + name + "' is damaged or cut short");
    header.resize(size(header_bytes));
    read_header();
    try {
      member.header = parse_numpy_header(header);
    } catch (const Error& error) {
      fail("'" + name + "': " + error.what());
    }
    const Index bytes = member.header.values() * member.header.value_bytes;
    if (bytes > all - header_bytes)
      fail("'" + name + "' has " + std::to_string(all - header_bytes) + " bytes of values, expected " +
           std::to_string(bytes) + ": it is cut short");
    return member;
  }

  const NumpyMember& open(const std::string& name) const {
    const auto known = members_.find(name);
    if (known != members_.end()) return known->second;
    const ZipMember* in_zip = find(name);
    if (in_zip == nullptr) fail("no array '" + name + "'");
    return members_.emplace(name, look_at(in_zip, name)).first->second;
  }

  /// Values [first, first + count) as they lie in the file.
  template <class T>
  void read_run(const NumpyMember& member, Index first, Index count, T* out) const {
    const NumpyHeader& header = member.header;
    if (header.is_text()) fail("expected numbers, found texts");
    const Index step = std::max<Index>(1, kPieceBytes / header.value_bytes);
    buffer_.resize(size(std::min(step, count) * header.value_bytes));
    for (Index done = 0; done < count; done += step) {
      const Index piece = std::min(step, count - done);
      read_bytes(member, (first + done) * header.value_bytes,
                 std::span(buffer_).first(size(piece * header.value_bytes)));
      numpy_values(header, buffer_.data(), piece, out + done);
    }
  }

  ZipFile zip_;
  mutable std::map<std::string, NumpyMember> members_;
  mutable std::vector<unsigned char> buffer_;
};

}  // namespace

std::unique_ptr<ArraySource> open_numpy(const std::string& path, Index file_number) {
  return std::make_unique<NumpySource>(path, file_number);
}

}  // namespace firesteel
