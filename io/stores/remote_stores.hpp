// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "firesteel/io/store.hpp"

namespace firesteel {

/// The store of a scheme; throws 64, 69.
Store& remote_store(const std::string& scheme);

std::unique_ptr<Store> make_http_store();
std::unique_ptr<Store> make_s3_store();
std::unique_ptr<Store> make_hdfs_store();

}  // namespace firesteel
