// SPDX-License-Identifier: Apache-2.0
// What a packed file says of itself. Nothing is believed before it is checked.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "firesteel/core/error.hpp"
#include "firesteel/core/parameters.hpp"
#include "firesteel/io/hdf5_handle.hpp"
#include "firesteel/io/hdf5_source.hpp"
#include "firesteel/io/packed_file.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel {

namespace {

using namespace hdf5;

constexpr Index kMostRows = Index{1} << 48;
constexpr Index kMostColumns = std::numeric_limits<std::int32_t>::max();
constexpr Index kMostBlockRows = Index{1} << 20;

/// The arrays of one file, of which only places and sizes are asked.
class Arrays {
 public:
  Arrays(const std::string& path, Index bytes) : path_(path), bytes_(bytes) {
    const PropertyList access = file_access();
    if (is_url(path)) use_store(access);
    file_ = File(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access));
    if (!file_.valid()) fail("is no HDF5 file, or a damaged one (" + last_error() + ")");
  }

  bool has(const char* name) const { return H5Lexists(file_, name, H5P_DEFAULT) > 0; }

  /// Where a contiguous array of `count` values of `type` lies.
  PackedHeader::Place place(const char* name, hid_t type, Index count, Index value_bytes) const {
    const Dataset dataset(H5Dopen2(file_, name, dataset_access()));
    if (!dataset.valid()) fail("has no array '" + std::string(name) + "'");
    const PropertyList creation(H5Dget_create_plist(dataset));
    const Datatype stored(H5Dget_type(dataset));
    const Dataspace space(H5Dget_space(dataset));
    if (H5Pget_layout(creation) != H5D_CONTIGUOUS || H5Pget_external_count(creation) != 0)
      fail("stores '" + std::string(name) + "' in pieces or elsewhere: packed arrays are contiguous");
    if (H5Tequal(stored, type) <= 0) fail("has another type of values in '" + std::string(name) + "'");
    if (H5Sget_simple_extent_ndims(space) < 1 || H5Sget_simple_extent_npoints(space) != count)
      fail("has " + std::to_string(H5Sget_simple_extent_npoints(space)) + " values in '" + name +
           "', expected " + std::to_string(count));
    if (count == 0) return {};
    const haddr_t offset = H5Dget_offset(dataset);
    if (value_bytes <= 0 || count > bytes_ / value_bytes || offset == HADDR_UNDEF ||
        offset > static_cast<haddr_t>(bytes_ - count * value_bytes))
      fail("is cut short: '" + std::string(name) + "' ends behind its last byte");
    return {static_cast<Index>(offset), count * value_bytes};
  }

  Index length(const char* name) const {
    const Dataset dataset(H5Dopen2(file_, name, dataset_access()));
    const Dataspace space(dataset.valid() ? H5Dget_space(dataset) : H5I_INVALID_HID);
    if (!space.valid()) fail("has no array '" + std::string(name) + "'");
    return static_cast<Index>(H5Sget_simple_extent_npoints(space));
  }
  /// Bytes of a value of fixed-length text.
  Datatype text_type_of(const char* name) const {
    const Dataset dataset(H5Dopen2(file_, name, dataset_access()));
    Datatype stored(dataset.valid() ? H5Dget_type(dataset) : H5I_INVALID_HID);
    if (!stored.valid() || H5Tget_class(stored) != H5T_STRING || H5Tis_variable_str(stored) > 0)
      fail("holds no texts of a fixed length in '" + std::string(name) + "'");
    return stored;
  }

  [[noreturn]] void fail(const std::string& what) const {
    rethrow_failed_read();
    throw bad_input(path_ + " " + what + ": pack the data anew by firesteel convert");
  }

 private:
  const std::string& path_;
  Index bytes_;
  File file_;
};

}  // namespace

std::uint64_t PackedHeader::fingerprint() const {
  std::string text;
  const auto add = [&](std::int64_t value) { text += std::to_string(value) + " "; };
  add(kPackedVersion);
  for (const bool flag : {sparse, single_precision, has_weights, has_dropped}) add(flag ? 1 : 0);
  for (const Index number : {rows, columns, values, rows_used, block_rows, Index{label_kind}, label_bytes})
    add(number);
  const auto add_text = [&](const std::string& each) {
    add(static_cast<std::int64_t>(each.size()));
    text += each;
  };
  add_text(schema.missing);
  for (const double mean : schema.missing_means) add(std::bit_cast<std::int64_t>(mean));
  for (const auto& name : schema.names) add_text(name);
  return XXH3_64bits(text.data(), text.size());
}

std::uint64_t PackedBlock::checksum() const {
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_64bits_reset(&state);
  for (const auto& part : {features, indices, pointers, labels, weights, dropped})
    if (!part.empty()) XXH3_64bits_update(&state, part.data(), part.size());
  return XXH3_64bits_digest(&state);
}

PackedHeader read_packed_header(const std::string& path) {
  const Quiet quiet;
  const Index bytes = open_input(path)->bytes();
  const Arrays arrays(path, bytes);
  const Hdf5Source source(path, 0);
  const auto numbers = source.integers_attribute("/", "packed");
  if (!numbers) arrays.fail("is no packed file: it has no attribute 'packed'");
  if (numbers->empty() || numbers->front() != kPackedVersion)
    arrays.fail("is packed in version " + std::to_string(numbers->empty() ? 0 : numbers->front()) +
                ", this program reads " + std::to_string(kPackedVersion));
  if (numbers->size() != 13) arrays.fail("is damaged: its attribute 'packed' has another length");
  const auto at = [&](std::size_t i) { return (*numbers)[i]; };
  PackedHeader header;
  header.sparse = at(1) != 0;
  header.single_precision = at(2) != 0;
  header.has_weights = at(3) != 0;
  header.has_dropped = at(4) != 0;
  header.rows = at(5);
  header.columns = at(6);
  header.values = at(7);
  header.rows_used = at(8);
  header.block_rows = at(9);
  header.label_kind = static_cast<int>(std::clamp<std::int64_t>(at(10), -2, 3));
  header.label_bytes = at(11);
  const auto within = [](Index value, Index low, Index high) { return value >= low && value <= high; };
  if (!within(header.rows, 1, kMostRows) || !within(header.columns, 1, kMostColumns) ||
      !within(header.values, 0, bytes) || !within(header.rows_used, 0, header.rows) ||
      !within(header.block_rows, kTileRows, kMostBlockRows) || header.block_rows % kTileRows != 0 ||
      !within(header.label_kind, -1, 2) || !within(header.label_bytes, 0, bytes) ||
      header.rows > bytes * kTileRows)
    arrays.fail("is damaged: it claims " + std::to_string(header.rows) + " rows of " +
                std::to_string(header.columns) + " columns in " + std::to_string(bytes) + " bytes");
  header.schema.names = source.texts_attribute("/", "feature_names").value_or(std::vector<std::string>());
  const auto missing = source.texts_attribute("/", "missing");
  header.schema.missing = missing && missing->size() == 1 ? missing->front() : "";
  for (const std::int64_t bits :
       source.integers_attribute("/", "missing_means").value_or(std::vector<std::int64_t>()))
    header.schema.missing_means.push_back(std::bit_cast<double>(bits));
  const auto one_each = [&](std::size_t count) {
    return count == 0 || static_cast<Index>(count) == header.columns;
  };
  if (!one_each(header.schema.names.size()) || !one_each(header.schema.missing_means.size()))
    arrays.fail("is damaged: not one name or mean a column");
  if (header.fingerprint() != std::bit_cast<std::uint64_t>(at(12)))
    arrays.fail("is damaged: what it says of itself does not fit its checksum");

  const hid_t real = header.single_precision ? H5T_IEEE_F32LE : H5T_IEEE_F64LE;
  if (header.sparse) {
    header.features = arrays.place("data", real, header.values, header.value_bytes());
    header.indices = arrays.place("indices", H5T_STD_I32LE, header.values, 4);
    header.pointers = arrays.place("indptr", H5T_STD_I64LE, header.rows + 1, 8);
  } else {
    const Index tiles = (header.rows + kTileRows - 1) / kTileRows;
    if (header.columns > bytes / kTileRows || tiles > bytes / (kTileRows * header.columns))
      arrays.fail("is cut short: its tiles would end behind its last byte");
    header.features = arrays.place("tiles", real, tiles * kTileRows * header.columns, header.value_bytes());
  }
  if (header.label_kind == 2) {
    const Datatype text = arrays.text_type_of("label");
    if (static_cast<Index>(H5Tget_size(text)) != header.label_bytes)
      arrays.fail("is damaged: its labels are of another length");
    header.labels = arrays.place("label", text, header.rows, header.label_bytes);
  } else if (header.label_kind >= 0) {
    header.labels =
        arrays.place("label", header.label_kind == 0 ? H5T_IEEE_F64LE : H5T_STD_I64LE, header.rows, 8);
    header.label_bytes = 8;
  }
  if (header.has_weights) header.weights = arrays.place("weight", H5T_IEEE_F64LE, header.rows, 8);
  if (header.has_dropped) header.dropped = arrays.place("dropped", H5T_STD_I32LE, header.rows, 4);
  header.checksums = arrays.place("checksums", H5T_STD_I64LE, header.blocks(), 8);
  return header;
}

}  // namespace firesteel
