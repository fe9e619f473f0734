// SPDX-License-Identifier: Apache-2.0
#include "firesteel/linalg/single_rows.hpp"

#include <algorithm>
#include <cstring>

#include "firesteel/linalg/simd.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "firesteel/linalg/single_rows.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace firesteel::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using SingleTag = hn::CappedTag<float, 16>;

/// Column j of a register of rows.
HWY_INLINE hn::Vec<SingleTag> scaled_column(const float* tile, const SingleScaling& scaling, std::size_t j,
                                            hn::Vec<SingleTag> root) {
  const SingleTag f;
  const std::size_t columns = scaling.scale.size();
  if (j > columns) return hn::Zero(f);
  if (j == columns) return root;
  const auto x = hn::Sub(hn::Load(f, tile + j * kTileRows), hn::Set(f, scaling.centre[j]));
  const auto value = hn::MulAdd(x, hn::Set(f, scaling.scale[j]), hn::Set(f, scaling.shift[j]));
  return hn::IfThenElseZero(hn::Gt(root, hn::Zero(f)), hn::Mul(root, value));
}

/// One tile: four columns at a time are brought side by side, then copied to their rows.
void fill_tile(const float* tile, const SingleScaling& scaling, const float* roots, std::size_t stride,
               float* rows) {
  const SingleTag f;
  const std::size_t width = hn::Lanes(f);
  HWY_ALIGN float side_by_side[4 * 16];
  const std::size_t used = (scaling.scale.size() + 1 + 3) / 4 * 4;
  for (std::size_t row = 0; row < static_cast<std::size_t>(kTileRows); row += width) {
    const auto root = hn::Load(f, roots + row);
    for (std::size_t j = 0; j < stride; j += 4) {
      if (j < used)
        hn::StoreInterleaved4(scaled_column(tile + row, scaling, j, root),
                              scaled_column(tile + row, scaling, j + 1, root),
                              scaled_column(tile + row, scaling, j + 2, root),
                              scaled_column(tile + row, scaling, j + 3, root), f, side_by_side);
      else
        std::fill_n(side_by_side, 4 * width, 0.0F);
      for (std::size_t r = 0; r < width; ++r)
        std::memcpy(rows + (row + r) * stride + j, side_by_side + 4 * r, 4 * sizeof(float));
    }
  }
}

}  // namespace firesteel::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace firesteel {

namespace {
HWY_EXPORT(fill_tile);

std::size_t count(Index i) { return static_cast<std::size_t>(i); }
}  // namespace

void fill_single_rows(const DenseTiles<float>& features, const SingleScaling& scaling, TileRange range,
                      Index stride, float* rows) {
  select_simd();
  const auto fill = HWY_DYNAMIC_DISPATCH(fill_tile);
  for (Index t = range.first; t < range.end; ++t)
    fill(features.tile(t), scaling, scaling.root.data() + t * kTileRows, count(stride),
         rows + (t - range.first) * kTileRows * stride);
}

void fill_single_rows(const SparseRows<float>& features, const SingleScaling& scaling, TileRange range,
                      Index stride, float* rows) {
  const std::size_t columns = scaling.scale.size();
  std::fill_n(rows, (range.end - range.first) * kTileRows * stride, 0.0F);
  const Index end = std::min(range.end * kTileRows, features.local_rows());
  for (Index row = range.first * kTileRows; row < end; ++row) {
    const float root = scaling.root[count(row)];
    if (!(root > 0)) continue;
    float* own = rows + (row - range.first * kTileRows) * stride;
    for (std::size_t j = 0; j < columns; ++j) own[j] = root * scaling.shift[j];
    own[columns] = root;
    const auto indices = features.row_indices(row);
    const auto values = features.row_values(row);
    for (std::size_t i = 0; i < indices.size(); ++i) {
      const auto j = count(indices[i]);
      own[j] = root * (values[i] * scaling.scale[j] + scaling.shift[j]);
    }
  }
}

}  // namespace firesteel
#endif
