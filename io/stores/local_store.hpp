// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "firesteel/io/store.hpp"

namespace firesteel {

/// The file systems of this machine.
Store& local_store();

/// A local file; throws 66.
std::shared_ptr<const InputFile> open_local(const std::string& path);

}  // namespace firesteel
