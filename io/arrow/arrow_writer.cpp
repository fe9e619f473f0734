// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/arrow/arrow_writer.hpp"

#include <arrow/adapters/orc/adapter.h>
#include <arrow/array/builder_binary.h>
#include <arrow/array/builder_primitive.h>
#include <arrow/io/file.h>
#include <arrow/ipc/writer.h>
#include <arrow/record_batch.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <parquet/arrow/writer.h>
#include <parquet/properties.h>

#include "firesteel/io/arrow/arrow_values.hpp"

namespace firesteel {

namespace {

std::shared_ptr<arrow::DataType> type_of(TableKind kind) {
  if (kind == TableKind::whole) return arrow::int64();
  return kind == TableKind::text ? arrow::utf8() : arrow::float64();
}

template <class Builder, class T>
std::shared_ptr<arrow::Array> build(const std::vector<T>& values, const std::vector<std::uint8_t>& missing) {
  Builder builder;
  std::vector<std::uint8_t> valid;
  for (const auto flag : missing) valid.push_back(flag == 0 ? 1 : 0);
  if constexpr (std::is_same_v<T, std::string>)
    check_arrow(builder.AppendValues(values, valid.empty() ? nullptr : valid.data()));
  else
    check_arrow(builder.AppendValues(values.data(), static_cast<std::int64_t>(values.size()),
                                     valid.empty() ? nullptr : valid.data()));
  return value_of(builder.Finish());
}

std::shared_ptr<arrow::Array> array_of(const TableValues& column) {
  if (const auto* numbers = std::get_if<std::vector<double>>(&column.values))
    return build<arrow::DoubleBuilder>(*numbers, column.missing);
  if (const auto* whole = std::get_if<std::vector<std::int64_t>>(&column.values))
    return build<arrow::Int64Builder>(*whole, column.missing);
  return build<arrow::StringBuilder>(std::get<std::vector<std::string>>(column.values), column.missing);
}

/// What the formats share: batches of rows from columns of values.
class FormatWriter : public ArrowWriter {
 public:
  FormatWriter(const std::string& path, const std::vector<TableColumn>& columns)
      : out_(value_of(arrow::io::FileOutputStream::Open(path))) {
    arrow::FieldVector fields;
    for (const auto& column : columns) fields.push_back(arrow::field(column.name, type_of(column.kind)));
    schema_ = arrow::schema(fields);
  }
  void write(const std::vector<TableValues>& values) override {
    arrow::ArrayVector arrays;
    for (const auto& column : values) arrays.push_back(array_of(column));
    const std::int64_t rows = arrays.empty() ? 0 : arrays.front()->length();
    write_batch(arrow::RecordBatch::Make(schema_, rows, arrays));
  }
  void finish() override {
    end();
    check_arrow(out_->Close());
  }

 protected:
  virtual void write_batch(const std::shared_ptr<arrow::RecordBatch>& batch) = 0;
  virtual void end() = 0;

  std::shared_ptr<arrow::io::FileOutputStream> out_;
  std::shared_ptr<arrow::Schema> schema_;
};

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

std::unique_ptr<ArrowWriter> create_arrow_file(const std::string& path, const std::string& format,
                                               const std::vector<TableColumn>& columns) {
  if (format == "parquet") return std::make_unique<ParquetWriter>(path, columns);
  if (format == "orc") return std::make_unique<OrcWriter>(path, columns);
  return std::make_unique<IpcWriter>(path, columns);
}

}  // namespace firesteel
