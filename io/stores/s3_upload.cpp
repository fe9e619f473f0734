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

/// Of parts, so that S3 takes them all; the same for any number of processes, and so the object's entity tag.
Index part_bytes_of(Index bytes) { return std::max(kPartBytes, bytes / kMostParts + 1); }

/// An upload that is given up unless it is completed.
class Multipart {
 public:
  explicit Multipart(const std::string& path) : path_(path), id_(s3_begin_upload(path)) {}
  Multipart(const Multipart&) = delete;
  Multipart& operator=(const Multipart&) = delete;
  ~Multipart() {
    if (!completed_) s3_give_up(path_, id_);
  }

  void part(Index number, const InputFile& file, Index begin, Index end) {
    tags_.push_back(s3_upload_part(path_, id_, number, file, begin, end));
  }
  void complete() {
    s3_complete(path_, id_, tags_);
    completed_ = true;
  }

 private:
  std::string path_;
  std::string id_;
  std::vector<std::string> tags_;
  bool completed_ = false;
};

}  // namespace

std::string s3_begin_upload(const std::string& path) {
  const HttpAnswer answer = s3_client().call("POST", s3_place(path), {{"uploads", ""}});
  std::string id;
  if (answer.good()) id = xml_element(answer.body, "UploadId");
  if (id.empty()) throw not_created(path, answer);
  return id;
}

std::string s3_upload_part(const std::string& path, const std::string& id, Index number,
                           const InputFile& file, Index begin, Index end) {
  const HttpAnswer answer =
      s3_client().call("PUT", s3_place(path), {{"partNumber", std::to_string(number + 1)}, {"uploadId", id}},
                       read_part(file, begin, end));
  if (!answer.good()) throw not_written(path, why_of(answer));
  return answer.header("etag");
}

void s3_complete(const std::string& path, const std::string& id, const std::vector<std::string>& tags) {
  std::string list;
  for (std::size_t i = 0; i < tags.size(); ++i)
    list += "<Part><PartNumber>" + std::to_string(i + 1) + "</PartNumber><ETag>" + tags[i] + "</ETag></Part>";
  const S3Place place = s3_place(path);
  const HttpAnswer answer = s3_client().call(
      "POST", place, {{"uploadId", id}}, "<CompleteMultipartUpload>" + list + "</CompleteMultipartUpload>");
  // A failure may come behind a 200; a lost answer to an attempt that went through looks like no upload.
  const std::string said = parse_s3_error(answer.body);
  if (answer.good() && said.empty()) return;
  if (said.starts_with("NoSuchUpload") && s3_client().call("HEAD", place, {}).good()) return;
  throw not_written(path, why_of(answer));
}

void s3_give_up(const std::string& path, const std::string& id) noexcept {
  try {
    s3_client().call("DELETE", s3_place(path), {{"uploadId", id}});
  } catch (...) {  // a rule of the bucket has to clear it away
  }
}

PiecesBegun s3_begin_pieces(const std::string& path, Index bytes, int processes) {
  if (processes == 1 || bytes <= 2 * kPartBytes) return {};
  return {.id = s3_begin_upload(path), .piece_bytes = part_bytes_of(bytes)};
}

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
  const Index part_bytes = part_bytes_of(file->bytes());
  Multipart upload(path);
  for (Index begin = 0; begin < file->bytes(); begin += part_bytes)
    upload.part(begin / part_bytes, *file, begin, std::min(file->bytes(), begin + part_bytes));
  upload.complete();
}

}  // namespace firesteel
