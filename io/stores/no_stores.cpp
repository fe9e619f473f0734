// SPDX-License-Identifier: Apache-2.0
// Where the build has no libcurl.
#include "firesteel/core/error.hpp"
#include "firesteel/io/stores/remote_stores.hpp"

namespace firesteel {

Store& remote_store(const std::string&) {
  throw Error(ErrorCode::unavailable,
              "this build of firesteel reads and writes no URLs: it was made without libcurl; install "
              "libcurl4-openssl-dev and libpugixml-dev and build again, or copy the files here first");
}

}  // namespace firesteel
