// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/arrow/arrow_writer.hpp"

#include <arrow/adapters/orc/adapter.h>
#include <arrow/array/array_primitive.h>
#include <arrow/array/builder_binary.h>
#include <arrow/buffer.h>
#include <arrow/buffer_builder.h>
#include <arrow/ipc/writer.h>
#include <arrow/table.h>
#include <parquet/arrow/writer.h>
#include <parquet/properties.h>

#include <algorithm>
#include <utility>

#include "firesteel/io/arrow/arrow_values.hpp"
#include "firesteel/io/arrow/format_writer.hpp"

namespace firesteel {

namespace {

/// Numbers that lie in a vector of the program's, as Arrow looks at them.
template <class T>
class NumbersBuffer final : public arrow::Buffer {
 public:
  explicit NumbersBuffer(std::vector<T> values)
      : arrow::Buffer(reinterpret_cast<const std::uint8_t*>(values.data()),
                      static_cast<std::int64_t>(values.size() * sizeof(T))),
        values_(std::move(values)) {}

 private:
  std::vector<T> values_;  // a moved vector stays where it is
};

struct Validity {
  std::shared_ptr<arrow::Buffer> bits;
  std::int64_t missing = 0;
};

Validity validity_of(const std::vector<std::uint8_t>& missing) {
  if (missing.empty()) return {};
  arrow::TypedBufferBuilder<bool> builder;
  for (const auto flag : missing) check_arrow(builder.Append(flag == 0));
  const auto count = std::count_if(missing.begin(), missing.end(), [](auto flag) { return flag != 0; });
  return {value_of(builder.Finish()), count};
}

template <class ArrayType, class T>
std::shared_ptr<arrow::Array> numbers(std::vector<T> values, const std::vector<std::uint8_t>& missing) {
  const auto rows = static_cast<std::int64_t>(values.size());
  const Validity valid = validity_of(missing);
  return std::make_shared<ArrayType>(rows, std::make_shared<NumbersBuffer<T>>(std::move(values)), valid.bits,
                                     valid.missing);
}

std::shared_ptr<arrow::Array> texts(std::vector<std::string> values,
                                    const std::vector<std::uint8_t>& missing) {
  arrow::StringBuilder builder;
  std::vector<std::uint8_t> valid;
  for (const auto flag : missing) valid.push_back(flag == 0 ? 1 : 0);
  check_arrow(builder.AppendValues(values, valid.empty() ? nullptr : valid.data()));
  values = {};
  return value_of(builder.Finish());
}

std::shared_ptr<arrow::Array> array_of(TableValues column) {
  if (auto* reals = std::get_if<std::vector<double>>(&column.values))
    return numbers<arrow::DoubleArray>(std::move(*reals), column.missing);
  if (auto* whole = std::get_if<std::vector<std::int64_t>>(&column.values))
    return numbers<arrow::Int64Array>(std::move(*whole), column.missing);
  return texts(std::move(std::get<std::vector<std::string>>(column.values)), column.missing);
}

std::shared_ptr<arrow::DataType> type_of(TableKind kind) {
  if (kind == TableKind::whole) return arrow::int64();
  return kind == TableKind::text ? arrow::utf8() : arrow::float64();
}

class ParquetWriter final : public FormatWriter {
 public:
  ParquetWriter(const std::string& path, const std::vector<TableColumn>& columns)
      : FormatWriter(path, columns) {
    const auto properties =
        parquet::WriterProperties::Builder().compression(arrow::Compression::ZSTD)->build();
    writer_ =
        value_of(parquet::arrow::FileWriter::Open(*schema_, arrow::default_memory_pool(), out_, properties));
  }

 private:
  // A row group a batch, so that ranks have parts to share.
  void write_batch(const std::shared_ptr<arrow::RecordBatch>& batch) override {
    check_arrow(writer_->WriteTable(*value_of(arrow::Table::FromRecordBatches({batch})), batch->num_rows()));
  }
  void end() override { check_arrow(writer_->Close()); }

  std::unique_ptr<parquet::arrow::FileWriter> writer_;
};

class IpcWriter final : public FormatWriter {
 public:
  IpcWriter(const std::string& path, const std::vector<TableColumn>& columns)
      : FormatWriter(path, columns), writer_(value_of(arrow::ipc::MakeFileWriter(out_, schema_))) {}

 private:
  void write_batch(const std::shared_ptr<arrow::RecordBatch>& batch) override {
    check_arrow(writer_->WriteRecordBatch(*batch));
  }
  void end() override { check_arrow(writer_->Close()); }

  std::shared_ptr<arrow::ipc::RecordBatchWriter> writer_;
};

class OrcWriter final : public FormatWriter {
 public:
  OrcWriter(const std::string& path, const std::vector<TableColumn>& columns)
      : FormatWriter(path, columns),
        writer_(value_of(arrow::adapters::orc::ORCFileWriter::Open(out_.get()))) {}

 private:
  void write_batch(const std::shared_ptr<arrow::RecordBatch>& batch) override {
    check_arrow(writer_->Write(*batch));
  }
  void end() override { check_arrow(writer_->Close()); }

  std::unique_ptr<arrow::adapters::orc::ORCFileWriter> writer_;
};

}  // namespace

std::shared_ptr<arrow::Schema> schema_of(const std::vector<TableColumn>& columns) {
  arrow::FieldVector fields;
  for (const auto& column : columns) fields.push_back(arrow::field(column.name, type_of(column.kind)));
  return arrow::schema(fields);
}

FormatWriter::FormatWriter(const std::string& path, const std::vector<TableColumn>& columns)
    : out_(value_of(arrow::io::FileOutputStream::Open(path))), schema_(schema_of(columns)) {}

void FormatWriter::write(std::vector<TableValues> values) {
  arrow::ArrayVector arrays;
  for (auto& column : values) arrays.push_back(array_of(std::move(column)));
  const std::int64_t rows = arrays.empty() ? 0 : arrays.front()->length();
  write_batch(arrow::RecordBatch::Make(schema_, rows, arrays));
}

void FormatWriter::finish() {
  end();
  check_arrow(out_->Close());
}

std::unique_ptr<ArrowWriter> create_arrow_file(const std::string& path, const std::string& format,
                                               const std::vector<TableColumn>& columns) {
  if (format == "parquet") return std::make_unique<ParquetWriter>(path, columns);
  if (format == "orc") return std::make_unique<OrcWriter>(path, columns);
  return std::make_unique<IpcWriter>(path, columns);
}

}  // namespace firesteel
