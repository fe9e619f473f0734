// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/stores/remote_stores.hpp"

#include "firesteel/core/error.hpp"

namespace firesteel {

Store& remote_store(const std::string& scheme) {
  static const auto http = make_http_store();
  static const auto s3 = make_s3_store();
  static const auto hdfs = make_hdfs_store();
  if (scheme == "s3") return *s3;
  return scheme == "hdfs" || scheme == "webhdfs" ? *hdfs : *http;
}

}  // namespace firesteel
