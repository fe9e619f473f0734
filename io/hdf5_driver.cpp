// SPDX-License-Identifier: Apache-2.0
// HDF5 reads files of stores by ranges: a driver that knows no writing.
#include <algorithm>
#include <functional>
#include <iterator>

#include "firesteel/core/error.hpp"
#include "firesteel/io/hdf5_handle.hpp"
#include "firesteel/io/store.hpp"

namespace firesteel::hdf5 {

namespace {

struct OpenFile {
  H5FD_t common;  // HDF5's own, first
  std::shared_ptr<const InputFile> input;
  haddr_t end_of_allocation;
};

OpenFile* of(H5FD_t* file) { return reinterpret_cast<OpenFile*>(file); }
const OpenFile* of(const H5FD_t* file) { return reinterpret_cast<const OpenFile*>(file); }

H5FD_t* open_file(const char* name, unsigned flags, hid_t, haddr_t) {
  if ((flags & (H5F_ACC_RDWR | H5F_ACC_CREAT | H5F_ACC_TRUNC)) != 0) return nullptr;
  try {
    return &(new OpenFile{{}, open_input(name), 0})->common;
  } catch (...) {
    keep_failed_read();
    return nullptr;
  }
}

herr_t close_file(H5FD_t* file) {
  delete of(file);
  return 0;
}

int compare(const H5FD_t* a, const H5FD_t* b) {
  const auto* first = of(a)->input.get();
  const auto* second = of(b)->input.get();
  return first == second ? 0 : std::less<const InputFile*>()(first, second) ? -1 : 1;
}

herr_t query(const H5FD_t*, unsigned long* flags) {
  if (flags != nullptr) *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_DATA_SIEVE;
  return 0;
}

haddr_t end_of_allocation(const H5FD_t* file, H5FD_mem_t) { return of(file)->end_of_allocation; }
herr_t set_end_of_allocation(H5FD_t* file, H5FD_mem_t, haddr_t end) {
  of(file)->end_of_allocation = end;
  return 0;
}
haddr_t end_of_file(const H5FD_t* file, H5FD_mem_t) { return static_cast<haddr_t>(of(file)->input->bytes()); }

herr_t read_file(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t place, std::size_t bytes, void* buffer) {
  try {
    const std::size_t done =
        of(file)->input->read_at(static_cast<Index>(place), {static_cast<char*>(buffer), bytes});
    return done == bytes ? 0 : -1;
  } catch (...) {
    keep_failed_read();
    return -1;
  }
}

herr_t write_file(H5FD_t*, H5FD_mem_t, hid_t, haddr_t, std::size_t, const void*) { return -1; }

hid_t register_driver() {
  static H5FD_class_t driver{};
#ifdef H5FD_CLASS_VERSION
  driver.version = H5FD_CLASS_VERSION;
  driver.value = static_cast<H5FD_class_value_t>(700);
#endif
  static constexpr H5FD_mem_t kOneList[] = H5FD_FLMAP_SINGLE;
  static_assert(sizeof kOneList == sizeof driver.fl_map);
  driver.name = "firesteel_store";
  driver.maxaddr = (haddr_t{1} << 62) - 1;
  driver.fc_degree = H5F_CLOSE_WEAK;
  driver.open = open_file;
  driver.close = close_file;
  driver.cmp = compare;
  driver.query = query;
  driver.get_eoa = end_of_allocation;
  driver.set_eoa = set_end_of_allocation;
  driver.get_eof = end_of_file;
  driver.read = read_file;
  driver.write = write_file;
  std::copy(std::begin(kOneList), std::end(kOneList), std::begin(driver.fl_map));
  return H5FDregister(&driver);
}

}  // namespace

void use_store(const PropertyList& access) {
  static const hid_t driver = register_driver();
  if (driver < 0 || H5Pset_driver(access, driver, nullptr) < 0)
    throw internal_error("HDF5 takes no driver: " + last_error());
}

}  // namespace firesteel::hdf5
