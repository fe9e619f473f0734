// SPDX-License-Identifier: Apache-2.0
// Files that several have written: Parquet's footer is put together from those of the parts; Arrow's is made
// by a writer that goes over batches of the same lengths, of which no byte is written.
#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>
#include <arrow/ipc/dictionary.h>
#include <arrow/ipc/message.h>
#include <arrow/ipc/options.h>
#include <arrow/ipc/writer.h>

#include <cstring>
#include <stdexcept>

#include "firesteel/io/arrow/arrow_values.hpp"
#include "firesteel/io/arrow/arrow_writer.hpp"
#include "firesteel/io/arrow/format_writer.hpp"
#include "firesteel/io/arrow/parquet_footer.hpp"

namespace firesteel {

namespace {

constexpr std::string_view kParquetMagic = "PAR1";
constexpr Index kParquetEnd = 8;  // the footer's length and the magic word

/// A Parquet file of its own. The summary is the length of the indexes, these, and the footer.
class ParquetPartWriter final : public ArrowWriter {
 public:
  ParquetPartWriter(const std::string& path, const std::vector<TableColumn>& columns)
      : path_(path), writer_(create_arrow_file(path, "parquet", columns)) {}
  void write(std::vector<TableValues> values) override { writer_->write(std::move(values)); }
  void finish() override { writer_->finish(); }
  ArrowPart part() override {
    const auto file = value_of(arrow::io::ReadableFile::Open(path_));
    const Index bytes = value_of(file->GetSize());
    std::uint32_t length = 0;  // little-endian, as this machine
    read(*file, bytes - kParquetEnd, sizeof length, &length);
    const Index footer_begin = bytes - kParquetEnd - static_cast<Index>(length);
    std::string footer(length, '\0');
    read(*file, footer_begin, length, footer.data());
    const Index pages_end = find_pages_end(footer, footer_begin);
    const Index indexes = footer_begin - pages_end;
    ArrowPart part{.begin = static_cast<Index>(kParquetMagic.size()), .end = pages_end, .summary = {}};
    part.summary.resize(sizeof indexes + static_cast<std::size_t>(indexes));
    std::memcpy(part.summary.data(), &indexes, sizeof indexes);
    read(*file, pages_end, indexes, part.summary.data() + sizeof indexes);
    part.summary += footer;
    return part;
  }

 private:
  static void read(arrow::io::RandomAccessFile& file, Index offset, Index bytes, void* out) {
    if (offset < 0 || bytes < 0 || value_of(file.ReadAt(offset, bytes, out)) != bytes)
      throw std::runtime_error("a Parquet file that is cut short");
  }

  std::string path_;
  std::unique_ptr<ArrowWriter> writer_;
};

ArrowEnds join_parquet(const std::vector<ArrowPart>& parts) {
  std::vector<ParquetPart> ends;
  auto place = static_cast<Index>(kParquetMagic.size());
  for (const auto& part : parts) {
    Index indexes = 0;
    std::memcpy(&indexes, part.summary.data(), sizeof indexes);
    const auto rest = std::string_view(part.summary).substr(sizeof indexes);
    ends.push_back({.indexes = rest.substr(0, static_cast<std::size_t>(indexes)),
                    .footer = rest.substr(static_cast<std::size_t>(indexes)),
                    .pages_end = part.end,
                    .shift = place - part.begin});
    place += part.bytes();
  }
  return {.head = std::string(kParquetMagic), .tail = join_parquet_ends(ends, place)};
}

/// A message of an Arrow file: its lengths.
struct Message {
  std::int64_t metadata = 0;
  std::int64_t body = 0;
};

/// Record batches and nothing else, whose lengths are the summary.
class IpcPartWriter final : public FormatWriter {
 public:
  using FormatWriter::FormatWriter;
  ArrowPart part() override { return {.begin = 0, .end = bytes_, .summary = summary_}; }

 private:
  void write_batch(const std::shared_ptr<arrow::RecordBatch>& batch) override {
    const auto options = arrow::ipc::IpcWriteOptions::Defaults();
    arrow::ipc::IpcPayload payload;
    check_arrow(arrow::ipc::GetRecordBatchPayload(*batch, options, &payload));
    std::int32_t metadata = 0;
    check_arrow(arrow::ipc::WriteIpcPayload(payload, options, out_.get(), &metadata));
    const Message message{metadata, payload.body_length};
    summary_.append(reinterpret_cast<const char*>(&message), sizeof message);
  }
  void end() override { bytes_ = value_of(out_->Tell()); }

  Index bytes_ = 0;
  std::string summary_;
};

/// Keeps what is written, or only counts it.
class EndsStream final : public arrow::io::OutputStream {
 public:
  bool keeps = true;

  arrow::Status Close() override { return arrow::Status::OK(); }
  bool closed() const override { return false; }
  arrow::Result<std::int64_t> Tell() const override { return place_; }
  using arrow::io::OutputStream::Write;
  arrow::Status Write(const void* data, std::int64_t bytes) override {
    if (keeps) text_.append(static_cast<const char*>(data), static_cast<std::size_t>(bytes));
    place_ += bytes;
    return arrow::Status::OK();
  }
  std::string take() { return std::exchange(text_, {}); }

 private:
  std::int64_t place_ = 0;
  std::string text_;
};

/// A buffer of which only the length is ever asked.
std::shared_ptr<arrow::Buffer> length_alone(std::int64_t bytes) {
  static constexpr std::uint8_t kNothing[8] = {};
  return std::make_shared<arrow::Buffer>(kNothing, bytes);
}

ArrowEnds join_ipc(const std::vector<TableColumn>& columns, const std::vector<ArrowPart>& parts) {
  const auto options = arrow::ipc::IpcWriteOptions::Defaults();
  const auto schema = schema_of(columns);
  EndsStream stream;
  const auto writer = value_of(arrow::ipc::internal::MakePayloadFileWriter(&stream, schema, options));
  check_arrow(writer->Start());
  arrow::ipc::IpcPayload first;
  check_arrow(
      arrow::ipc::GetSchemaPayload(*schema, options, arrow::ipc::DictionaryFieldMapper(*schema), &first));
  check_arrow(writer->WritePayload(first));
  ArrowEnds ends{.head = stream.take(), .tail = {}};
  stream.keeps = false;
  constexpr std::int64_t kPrefix = 8;  // of the metadata: a mark and the length
  for (const auto& part : parts)
    for (std::size_t at = 0; at + sizeof(Message) <= part.summary.size(); at += sizeof(Message)) {
      Message message;
      std::memcpy(&message, part.summary.data() + at, sizeof message);
      arrow::ipc::IpcPayload batch;
      batch.type = arrow::ipc::MessageType::RECORD_BATCH;
      batch.metadata = length_alone(message.metadata - kPrefix);
      batch.body_buffers = {length_alone(message.body)};
      batch.body_length = batch.raw_body_length = message.body;
      check_arrow(writer->WritePayload(batch));
    }
  stream.keeps = true;
  check_arrow(writer->Close());
  ends.tail = stream.take();
  return ends;
}

}  // namespace

std::unique_ptr<ArrowWriter> create_arrow_part(const std::string& path, const std::string& format,
                                               const std::vector<TableColumn>& columns) {
  if (format == "parquet") return std::make_unique<ParquetPartWriter>(path, columns);
  if (format == "arrow") return std::make_unique<IpcPartWriter>(path, columns);
  return nullptr;
}

ArrowEnds join_arrow_parts(const std::string& format, const std::vector<TableColumn>& columns,
                           const std::vector<ArrowPart>& parts) {
  return format == "parquet" ? join_parquet(parts) : join_ipc(columns, parts);
}

}  // namespace firesteel
