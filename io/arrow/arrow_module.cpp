// SPDX-License-Identifier: Apache-2.0
// Parquet, Arrow IPC files and ORC by Apache Arrow C++: a module of its own (arrow_file.hpp).
#include <arrow/adapters/orc/adapter.h>
#include <arrow/buffer.h>
#include <arrow/io/file.h>
#include <arrow/ipc/reader.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/file_reader.h>

#include <algorithm>
#include <memory>
#include <set>
#include <stdexcept>

#include "firesteel/io/arrow/arrow_values.hpp"
#include "firesteel/io/arrow/arrow_writer.hpp"
#include "firesteel/io/arrow_file.hpp"

namespace firesteel {

namespace {

constexpr std::int64_t kBatchRows = kArrowBatchRows;
constexpr std::int64_t kBufferBytes = std::int64_t{64} << 10;

/// What the formats share: a schema, and batches of chosen fields.
class FormatFile : public ArrowFile {
 public:
  std::vector<TableColumn> columns() override {
    std::vector<TableColumn> found;
    const auto fields = schema();  // kept while its parts are looked at
    for (const auto& field : fields->fields()) found.push_back({field->name(), kind_of(*field->type())});
    return found;
  }
  void read(Index part, const std::vector<ArrowColumn>& wanted, Take take) override {
    std::set<int> chosen;
    for (const auto& each : wanted) chosen.insert(static_cast<int>(each.column));
    if (chosen.empty()) chosen.insert(0);  // rows are counted by something
    const std::vector<int> fields(chosen.begin(), chosen.end());
    std::vector<TableValues> values(wanted.size());  // of one batch after another, in the same memory
    read_fields(part, fields, [&](const arrow::RecordBatch& batch) {
      if (batch.num_columns() != static_cast<int>(fields.size()))
        throw std::runtime_error("a part lacks some of the columns");
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        const auto place = std::lower_bound(fields.begin(), fields.end(), static_cast<int>(wanted[i].column));
        arrow_values(*batch.column(static_cast<int>(place - fields.begin())), wanted[i].kind, wanted[i].want,
                     values[i]);
      }
      take(batch.num_rows(), values);
    });
  }

 protected:
  virtual std::shared_ptr<arrow::Schema> schema() = 0;
  using TakeBatch = FunctionRef<void(const arrow::RecordBatch& batch)>;
  virtual void read_fields(Index part, const std::vector<int>& fields, TakeBatch take) = 0;
};

class ParquetFile final : public FormatFile {
 public:
  explicit ParquetFile(const std::shared_ptr<arrow::io::RandomAccessFile>& file) {
    // Of each column no more is held than a stretch of its pages, however large the row group is.
    parquet::ReaderProperties stretches;
    stretches.enable_buffered_stream();
    stretches.set_buffer_size(kBufferBytes);
    parquet::arrow::FileReaderBuilder builder;
    check_arrow(builder.Open(file, stretches));
    parquet::ArrowReaderProperties properties(/*use_threads=*/false);
    properties.set_pre_buffer(false);
    properties.set_batch_size(kBatchRows);
    builder.properties(properties);
    check_arrow(builder.Build(&reader_));
  }
  std::shared_ptr<arrow::Schema> schema() override {
    std::shared_ptr<arrow::Schema> schema;
    check_arrow(reader_->GetSchema(&schema));
    return schema;
  }
  std::vector<Index> part_rows() override {
    const auto metadata = reader_->parquet_reader()->metadata();
    std::vector<Index> rows;
    for (int i = 0; i < metadata->num_row_groups(); ++i) rows.push_back(metadata->RowGroup(i)->num_rows());
    return rows;
  }
  void read_fields(Index part, const std::vector<int>& fields, TakeBatch take) override {
    std::vector<int> leaves;
    for (const int field : fields)
      add_leaves(reader_->manifest().schema_fields[static_cast<std::size_t>(field)], leaves);
    auto batches = value_of(reader_->GetRecordBatchReader({static_cast<int>(part)}, leaves));
    for (;;) {
      std::shared_ptr<arrow::RecordBatch> batch;
      check_arrow(batches->ReadNext(&batch));
      if (!batch) return;
      take(*batch);
    }
  }

 private:
  static void add_leaves(const parquet::arrow::SchemaField& field, std::vector<int>& leaves) {
    if (field.column_index >= 0) leaves.push_back(field.column_index);
    for (const auto& child : field.children) add_leaves(child, leaves);
  }

  std::unique_ptr<parquet::arrow::FileReader> reader_;
};

class IpcFile final : public FormatFile {
 public:
  explicit IpcFile(std::shared_ptr<arrow::io::RandomAccessFile> file) : file_(std::move(file)) {}

  std::shared_ptr<arrow::Schema> schema() override { return open({})->schema(); }
  std::vector<Index> part_rows() override {
    // Of one column, as only lengths are looked at.
    const auto reader = schema()->num_fields() > 0 ? open({0}) : open({});
    std::vector<Index> rows;
    for (int i = 0; i < reader->num_record_batches(); ++i)
      rows.push_back(value_of(reader->ReadRecordBatch(i))->num_rows());
    return rows;
  }
  void read_fields(Index part, const std::vector<int>& fields, TakeBatch take) override {
    take(*value_of(open(fields)->ReadRecordBatch(static_cast<int>(part))));
  }

 private:
  std::shared_ptr<arrow::ipc::RecordBatchFileReader> open(const std::vector<int>& fields) const {
    auto options = arrow::ipc::IpcReadOptions::Defaults();
    options.use_threads = false;
    options.included_fields = fields;
    return value_of(arrow::ipc::RecordBatchFileReader::Open(file_, options));
  }

  std::shared_ptr<arrow::io::RandomAccessFile> file_;
};

class OrcFile final : public FormatFile {
 public:
  explicit OrcFile(const std::shared_ptr<arrow::io::RandomAccessFile>& file)
      : reader_(value_of(arrow::adapters::orc::ORCFileReader::Open(file, arrow::default_memory_pool()))) {}

  std::shared_ptr<arrow::Schema> schema() override { return value_of(reader_->ReadSchema()); }
  std::vector<Index> part_rows() override {
    std::vector<Index> rows;
    for (std::int64_t i = 0; i < reader_->NumberOfStripes(); ++i)
      rows.push_back(reader_->GetStripeInformation(i).num_rows);
    return rows;
  }
  void read_fields(Index part, const std::vector<int>& fields, TakeBatch take) override {
    take(*value_of(reader_->ReadStripe(part, fields)));
  }

 private:
  std::unique_ptr<arrow::adapters::orc::ORCFileReader> reader_;
};

/// A file that the program reads for Arrow.
class ProgramFile final : public arrow::io::RandomAccessFile {
 public:
  explicit ProgramFile(std::shared_ptr<const ArrowInput> input) : input_(std::move(input)) {}

  arrow::Status Close() override {
    closed_ = true;
    return arrow::Status::OK();
  }
  bool closed() const override { return closed_; }
  arrow::Result<std::int64_t> Tell() const override { return place_; }
  arrow::Status Seek(std::int64_t place) override {
    place_ = place;
    return arrow::Status::OK();
  }
  arrow::Result<std::int64_t> GetSize() override { return input_->bytes(); }
  arrow::Result<std::int64_t> ReadAt(std::int64_t offset, std::int64_t bytes, void* out) override {
    if (offset < 0 || bytes < 0) return arrow::Status::Invalid("a place beyond the file");
    const Index got = input_->read(offset, {static_cast<char*>(out), static_cast<std::size_t>(bytes)});
    if (got < 0) return arrow::Status::IOError("reading failed");
    return got;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(std::int64_t offset, std::int64_t bytes) override {
    const std::int64_t there =
        std::clamp<std::int64_t>(input_->bytes() - offset, 0, std::max<std::int64_t>(bytes, 0));
    ARROW_ASSIGN_OR_RAISE(auto buffer, arrow::AllocateResizableBuffer(there));
    ARROW_ASSIGN_OR_RAISE(const auto got, ReadAt(offset, there, buffer->mutable_data()));
    ARROW_RETURN_NOT_OK(buffer->Resize(got));
    return std::shared_ptr<arrow::Buffer>(std::move(buffer));
  }
  arrow::Result<std::int64_t> Read(std::int64_t bytes, void* out) override {
    ARROW_ASSIGN_OR_RAISE(const auto got, ReadAt(place_, bytes, out));
    place_ += got;
    return got;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(std::int64_t bytes) override {
    ARROW_ASSIGN_OR_RAISE(auto buffer, ReadAt(place_, bytes));
    place_ += buffer->size();
    return buffer;
  }

 private:
  std::shared_ptr<const ArrowInput> input_;
  std::int64_t place_ = 0;
  bool closed_ = false;
};

std::unique_ptr<ArrowFile> open_file(std::shared_ptr<const ArrowInput> input, const std::string& path,
                                     const std::string& format) {
  std::shared_ptr<arrow::io::RandomAccessFile> file;
  if (input)
    file = std::make_shared<ProgramFile>(std::move(input));
  else
    file = value_of(arrow::io::ReadableFile::Open(path));
  if (format == "parquet") return std::make_unique<ParquetFile>(file);
  if (format == "orc") return std::make_unique<OrcFile>(file);
  return std::make_unique<IpcFile>(file);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const ArrowModule firesteel_arrow_module;
const ArrowModule firesteel_arrow_module{kArrowModuleVersion, open_file, create_arrow_file, create_arrow_part,
                                         join_arrow_parts};

}  // namespace firesteel
