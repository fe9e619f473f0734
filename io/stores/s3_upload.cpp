// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "firesteel/io/stores/local_store.hpp"
#include "firesteel/io/stores/s3_client.hpp"
#include "firesteel/io/stores/store_answers.hpp"

namespace firesteel {

namespace {

constexpr Index kPartBytes = Index{8} << 20;  // S3 wants 5 MiB at the least
constexpr Index kMostParts = 9000;            // and 10000 parts at the most

Error not_created(const std::string& path, const HttpAnswer& answer) {
  const std::string said = parse_s3_error(answer.body);
  const bool absent = !answer.failure.empty() || answer.may_try_again || answer.status >= 500;
  return {absent ? ErrorCode::unavailable : ErrorCode::cannot_create,
          "cannot create " + path + ": " + answer.says() + (said.empty() ? "" : ", " + said)};
}

Error not_written(const std::string& path, const std::string& why) {
  return {ErrorCode::io_failed, "writing " + path + " failed: " + why + "; an older object stays as it was"};
}

std::string why_of(const HttpAnswer& answer) {
  const std::string said = parse_s3_error(answer.body);
  return answer.says() + (said.empty() ? "" : ", " + said);
}

std::string read_part(const InputFile& file, Index begin, Index end) {
  std::string part(static_cast<std::size_t>(end - begin), '\0');
  if (file.read_at(begin, part) != part.size())
    throw Error(ErrorCode::io_failed, file.path() + ": it became shorter while it was uploaded");
  return part;
}

/// An upload in parts: begun, then completed or given up.
class Multipart {
 public:
  explicit Multipart(const std::string& path) : path_(path), place_(s3_place(path)) {
    const HttpAnswer answer = s3_client().call("POST", place_, {{"uploads", ""}});
    if (answer.good()) id_ = xml_element(answer.body, "UploadId");
    if (id_.empty()) throw not_created(path, answer);
  }
  Multipart(const Multipart&) = delete;
  Multipart& operator=(const Multipart&) = delete;
  ~Multipart() {
    if (completed_) return;
    try {
      s3_client().call("DELETE", place_, {{"uploadId", id_}});
    } catch (...) {  // a rule of the bucket has to clear it away
    }
  }

  void part(int number, std::string bytes) {
    const HttpAnswer answer = s3_client().call(
        "PUT", place_, {{"partNumber", std::to_string(number)}, {"uploadId", id_}}, std::move(bytes));
    if (!answer.good()) throw not_written(path_, why_of(answer));
    list_ += "<Part><PartNumber>" + std::to_string(number) + "</PartNumber><ETag>" + answer.header("etag") +
             "</ETag></Part>";
  }

  void complete() {
    const HttpAnswer answer =
        s3_client().call("POST", place_, {{"uploadId", id_}},
                         "<CompleteMultipartUpload>" + list_ + "</CompleteMultipartUpload>");
    // A failure may come behind a 200; a lost answer to an attempt that went through looks like no upload.
    const std::string said = parse_s3_error(answer.body);
    if (answer.good() && said.empty()) {
      completed_ = true;
      return;
    }
    if (said.starts_with("NoSuchUpload") && s3_client().call("HEAD", place_, {}).good()) {
      completed_ = true;
      return;
    }
    throw not_written(path_, why_of(answer));
  }

 private:
  std::string path_;
  S3Place place_;
  std::string id_;
  std::string list_;
  bool completed_ = false;
};

}  // namespace

void s3_try_upload(const std::string& path) {
  const S3Place place = s3_place(path);
  if (place.key.empty() || place.key.back() == '/')
    throw Error(ErrorCode::cannot_create,
                "cannot create " + path + ": expected the name of an object after the bucket");
  const Multipart given_up(path);
}

void s3_upload(const std::string& path, const std::string& local) {
  const auto file = open_local(local);
  if (file->bytes() <= 2 * kPartBytes) {
    const HttpAnswer answer = s3_client().call("PUT", s3_place(path), {}, read_part(*file, 0, file->bytes()));
    if (!answer.good()) throw not_written(path, why_of(answer));
    return;
  }
  const Index part_bytes = std::max(kPartBytes, file->bytes() / kMostParts + 1);
  Multipart upload(path);
  int number = 0;
  for (Index begin = 0; begin < file->bytes(); begin += part_bytes)
    upload.part(++number, read_part(*file, begin, std::min(file->bytes(), begin + part_bytes)));
  upload.complete();
}

}  // namespace firesteel
