// SPDX-License-Identifier: Apache-2.0
// Names, runs of values and categories: where the layouts of AnnData and MATLAB differ from ours.
#include <algorithm>
#include <string_view>

#include "firesteel/io/hdf5_source.hpp"
#include "firesteel/io/quoted.hpp"

namespace firesteel::hdf5 {

namespace {

/// All values of a 1-D array of numbers.
template <class T>
std::vector<T> whole_array(const Hdf5Source& source, const std::string& name) {
  std::vector<T> values(static_cast<std::size_t>(source.array(name, 1).shape[0]));
  source.read(name, 0, static_cast<Index>(values.size()), values.data());
  return values;
}

}  // namespace

bool Hdf5Source::has_path(const std::string& path) const {
  if (path.empty()) return false;
  for (auto slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
    if (H5Lexists(file_, path.substr(0, slash).c_str(), link_access_) <= 0) return false;
  return H5Lexists(file_, path.c_str(), link_access_) > 0;
}

void Hdf5Source::refuse_external_link(const std::string& path) const {
  for (std::size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end + 1);
    const std::string link = path.substr(0, end);
    H5L_info_t info;
    if (H5Lget_info(file_, link.c_str(), &info, link_access_) < 0 || info.type != H5L_TYPE_EXTERNAL) continue;
    std::vector<char> value(std::min<std::size_t>(info.u.val_size, std::size_t{1} << 16));
    const char* other = nullptr;
    const char* object = nullptr;
    unsigned flags = 0;
    if (H5Lget_val(file_, link.c_str(), value.data(), value.size(), link_access_) < 0 ||
        H5Lunpack_elink_val(value.data(), value.size(), &flags, &other, &object) < 0)
      fail("'" + link + "' is a damaged link to another file");
    fail("'" + link + "' is an external link, to " + quoted(object) + " of the file " + quoted(other) +
         ", which is not followed: read that file, or copy it into this one (h5copy)");
  }
}

std::string Hdf5Source::resolve(const std::string& name) const {
  constexpr std::string_view kFeatures = "features";
  if (has_path(name)) return name;
  if (name.starts_with(kFeatures) && (name.size() == kFeatures.size() || name[kFeatures.size()] == '/')) {
    std::string other = "X" + name.substr(kFeatures.size());
    if (has_path(other)) return other;
  }
  if (std::string column = "obs/" + name; has_path(column)) return column;
  return name;
}

bool Hdf5Source::has(const std::string& name) const { return !name.empty() && has_path(resolve(name)); }

bool Hdf5Source::is_categorical(const std::string& name) const {
  const std::string path = resolve(name);
  return has_path(path + "/codes") && has_path(path + "/categories");
}

bool Hdf5Source::is_group(const std::string& name) const {
  const Object object(H5Oopen(file_, resolve(name).c_str(), link_access_));
  return object.valid() && H5Iget_type(object) == H5I_GROUP && !is_categorical(name);
}

bool Hdf5Source::is_transposed(const std::string& name) const {
  return H5Aexists_by_name(file_, resolve(name).c_str(), "MATLAB_class", link_access_) > 0;
}

void Hdf5Source::read_run(const std::string& name, Index first, Index rows, hid_t type, void* out,
                          hid_t transfer) const {
  const auto begin = static_cast<hsize_t>(first);
  const auto count = static_cast<hsize_t>(rows);
  const auto extents = extents_of(name);
  if (extents.size() == 1)
    read_hyperslab(name, {begin}, {count}, type, out, transfer);
  else if (extents[0] == 1)
    read_hyperslab(name, {0, begin}, {1, count}, type, out, transfer);
  else
    read_hyperslab(name, {begin, 0}, {count, 1}, type, out, transfer);
}

template <class T, class Categories>
std::vector<T> Hdf5Source::by_code(const std::string& name, Index first, Index rows,
                                   const Categories& categories) const {
  std::vector<std::int64_t> codes(static_cast<std::size_t>(rows));
  read(resolve(name) + "/codes", first, rows, codes.data());
  std::vector<T> values;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (codes[i] < 0 || codes[i] >= static_cast<std::int64_t>(categories.size()))
      fail("row " + std::to_string(first + static_cast<Index>(i)) + " of '" + name +
               "' has no category (code " + std::to_string(codes[i]) + ")",
           first + static_cast<Index>(i));
    values.push_back(categories[static_cast<std::size_t>(codes[i])]);
  }
  return values;
}

std::vector<std::string> Hdf5Source::read_categories(const std::string& name, Index first, Index rows) const {
  const std::string categories = resolve(name) + "/categories";
  return by_code<std::string>(name, first, rows, read_texts(categories, 0, array(categories, 1).shape[0]));
}

template <class T>
void Hdf5Source::read_numbers(const std::string& name, Index first, Index rows, hid_t type, T* out) const {
  if (!is_categorical(name)) return read_run(name, first, rows, type, out);
  const auto values = by_code<T>(name, first, rows, whole_array<T>(*this, resolve(name) + "/categories"));
  std::copy(values.begin(), values.end(), out);
}

void Hdf5Source::read(const std::string& name, Index first, Index rows, double* out) const {
  read_numbers(name, first, rows, H5T_NATIVE_DOUBLE, out);
}

void Hdf5Source::read(const std::string& name, Index first, Index rows, std::int64_t* out) const {
  read_numbers(name, first, rows, H5T_NATIVE_INT64, out);
}

void Hdf5Source::read(const std::string& name, Index first, Index rows, std::uint64_t* out) const {
  read_numbers(name, first, rows, H5T_NATIVE_UINT64, out);
}

}  // namespace firesteel::hdf5
