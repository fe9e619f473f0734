// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arrow/io/file.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>

#include <memory>
#include <string>
#include <vector>

#include "firesteel/io/arrow_file.hpp"

namespace firesteel {

std::shared_ptr<arrow::Schema> schema_of(const std::vector<TableColumn>& columns);

/// What the formats share: batches of rows from columns of values.
class FormatWriter : public ArrowWriter {
 public:
  FormatWriter(const std::string& path, const std::vector<TableColumn>& columns);
  void write(std::vector<TableValues> values) override;
  void finish() override;

 protected:
  virtual void write_batch(const std::shared_ptr<arrow::RecordBatch>& batch) = 0;
  virtual void end() = 0;

  std::shared_ptr<arrow::io::FileOutputStream> out_;
  std::shared_ptr<arrow::Schema> schema_;
};

}  // namespace firesteel
