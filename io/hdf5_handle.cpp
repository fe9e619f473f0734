// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/hdf5_handle.hpp"

#include <algorithm>

#include "firesteel/core/error.hpp"

namespace firesteel::hdf5 {

namespace {

/// HDF5 fails at these only out of memory or by a bug.
void require(bool good, const char* call) {
  if (!good) throw internal_error(std::string(call) + " failed: " + last_error());
}

PropertyList create(hid_t kind) {
  PropertyList list(H5Pcreate(kind));
  require(list.valid(), "H5Pcreate");
  return list;
}

herr_t refuse_external(const char*, const char*, const char*, const char*, unsigned*, hid_t, void*) {
  return -1;
}

PropertyList access_within_file(hid_t kind) {
  PropertyList list = create(kind);
  require(H5Pset_elink_cb(list, refuse_external, nullptr) >= 0, "H5Pset_elink_cb");
  return list;
}

/// What the last failing call left. HDF5 clears its stack at every call, also at those that only tidy up.
thread_local std::string last_message = "no reason given";

herr_t keep_description(unsigned, const H5E_error2_t* error, void*) noexcept {
  try {
    if (error->desc != nullptr && *error->desc != '\0') last_message = error->desc;
  } catch (...) {  // no memory for a message: the older one stands
  }
  return 0;
}

/// Called by HDF5 when a call fails. Walking down ends at the innermost function: what was met.
bool failed = false;

herr_t keep_message(hid_t stack, void*) {
  failed = true;
  return H5Ewalk2(stack, H5E_WALK_DOWNWARD, keep_description, nullptr);
}

}  // namespace

Quiet::Quiet() {
  H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
  last_message = "no reason given";
  H5Eset_auto2(H5E_DEFAULT, keep_message, nullptr);
  H5PLget_loading_state(&plugins_);
  H5PLset_loading_state(0);
}
Quiet::~Quiet() {
  H5PLset_loading_state(plugins_);
  // After a damaged file HDF5 1.10 has memory left over and complains about it when the program ends, but
  // only if its messages are on: they stay off then.
  if (failed)
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  else
    H5Eset_auto2(H5E_DEFAULT, function_, data_);
}

std::string last_error() { return last_message; }

Datatype text_type(std::size_t length) {
  Datatype type(H5Tcopy(H5T_C_S1));
  require(type.valid(), "H5Tcopy");
  require(H5Tset_size(type, std::max<std::size_t>(1, length)) >= 0, "H5Tset_size");
  require(H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0, "H5Tset_strpad");
  require(H5Tset_cset(type, H5T_CSET_UTF8) >= 0, "H5Tset_cset");
  return type;
}

PropertyList file_access() {
  PropertyList list = create(H5P_FILE_ACCESS);
  require(H5Pset_libver_bounds(list, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0, "H5Pset_libver_bounds");
  require(H5Pset_fclose_degree(list, H5F_CLOSE_STRONG) >= 0, "H5Pset_fclose_degree");
  // Locks fail on file systems that have none; the temporary file is ours alone, inputs are only read.
  require(H5Pset_file_locking(list, false, true) >= 0, "H5Pset_file_locking");
  return list;
}

PropertyList file_creation() {
  PropertyList list = create(H5P_FILE_CREATE);
  require(H5Pset_obj_track_times(list, false) >= 0, "H5Pset_obj_track_times");
  return list;
}

PropertyList group_creation() {
  PropertyList list = create(H5P_GROUP_CREATE);
  require(H5Pset_obj_track_times(list, false) >= 0, "H5Pset_obj_track_times");
  return list;
}

PropertyList link_access() { return access_within_file(H5P_LINK_ACCESS); }
PropertyList group_access() { return access_within_file(H5P_GROUP_ACCESS); }
PropertyList dataset_access() { return access_within_file(H5P_DATASET_ACCESS); }

PropertyList dataset_creation() {
  PropertyList list = create(H5P_DATASET_CREATE);
  require(H5Pset_obj_track_times(list, false) >= 0, "H5Pset_obj_track_times");
  require(H5Pset_layout(list, H5D_CONTIGUOUS) >= 0, "H5Pset_layout");
  require(H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY) >= 0, "H5Pset_alloc_time");
  require(H5Pset_fill_time(list, H5D_FILL_TIME_NEVER) >= 0, "H5Pset_fill_time");
  return list;
}

}  // namespace firesteel::hdf5
