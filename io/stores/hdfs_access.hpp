// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "firesteel/io/stores/http.hpp"
#include "firesteel/io/stores/store_answers.hpp"
#include "firesteel/io/stores/url.hpp"

namespace firesteel {

/// The URL of an operation of WebHDFS on a path of the file system that `url` names. Throws 64 where
/// FIRESTEEL_WEBHDFS is wrong.
std::string hdfs_operation(const Url& url, const std::string& path, const std::string& name,
                           const std::string& arguments = {});

/// A request without a body, with further attempts. The last answer.
HttpAnswer hdfs_call(const std::string& method, const std::string& url);

/// Asks the NameNode where to write, then writes there; from the start again where that fails.
HttpAnswer hdfs_create(const Url& url, const std::string& path, const HttpUpload& upload);

/// Renames a file, in place of what is there.
HttpAnswer hdfs_rename(const Url& url, const std::string& from, const std::string& to);

/// What lies at a path; nothing where nothing does, or the server does not say.
std::optional<HdfsStatus> hdfs_status(const Url& url, const std::string& path);

/// A name beside a path that no other file has: _firesteel-….
std::string hdfs_temporary_name(const std::string& path);

/// What the server says, with what HDFS says.
std::string hdfs_says(const HttpAnswer& answer);

}  // namespace firesteel
