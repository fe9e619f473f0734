// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "firesteel/core/dataset.hpp"

namespace firesteel {

/// Even blocks over `rows` source rows, of fewer rows where each has many columns. Throws bad_parameter where
/// ranks give different numbers or a negative one. Collective.
std::shared_ptr<const BlockPartition> partition_rows(const Context& context, Index rows, Index columns = 0);

template <class T, class Pipeline>
Dataset<Index, RangePipeline> Dataset<T, Pipeline>::range(const Context& context, Index n) {
  static_assert(std::is_same_v<T, Index>, "a range holds row numbers: Dataset<Index>::range");
  auto partition = partition_rows(context, n);
  const RangePipeline pipeline{n, partition->block_rows()};
  return {context, std::move(partition), pipeline};
}

template <class T>
Dataset<T, VectorPipeline<T>> parallelize(const Context& context, const std::vector<T>& values) {
  auto partition = partition_rows(context, static_cast<Index>(values.size()));
  const Index first = partition->first_row(context.rank());
  auto own = context.comm().collectively([&] {
    return std::make_shared<const std::vector<T>>(values.begin() + first,
                                                  values.begin() + partition->end_row(context.rank()));
  });
  VectorPipeline<T> pipeline{std::move(own), first, partition->block_rows()};
  return {context, std::move(partition), std::move(pipeline)};
}

template <Serializable T>
T broadcast(const Context& context, const T& value, int root) {
  Communicator& comm = context.comm();
  ByteWriter out;
  comm.collectively([&] {
    if (comm.rank() == root) out.write(value);
  });
  auto bytes = out.take();
  const Index length = comm.broadcast_value(static_cast<Index>(bytes.size()), root);
  comm.collectively([&] { bytes.resize(static_cast<std::size_t>(length)); });
  comm.broadcast(std::span(bytes), root);
  return comm.collectively([&] {
    ByteReader in(bytes);
    return in.template read<T>();
  });
}

}  // namespace firesteel
