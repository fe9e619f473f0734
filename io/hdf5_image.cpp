// SPDX-License-Identifier: Apache-2.0
#include "firesteel/io/hdf5_image.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "firesteel/core/error.hpp"

namespace firesteel::hdf5 {

namespace {
constexpr std::size_t kIncrement = std::size_t{1} << 16;
constexpr std::size_t kLargeArrays = std::size_t{16} << 20;
constexpr std::size_t kEndOfFileOffset = 28;  // in a superblock of version 2 with 8-byte offsets
}  // namespace

/// HDF5 allocates by malloc through the callbacks below, which follow the one buffer there is.
struct Image::Memory {
  void* data = nullptr;
  std::size_t length = 0;
  bool exhausted = false;

  static void* allocate(std::size_t length, H5FD_file_image_op_t, void* self) {
    return static_cast<Memory*>(self)->resize(nullptr, length);
  }
  static void* reallocate(void* data, std::size_t length, H5FD_file_image_op_t, void* self) {
    return static_cast<Memory*>(self)->resize(data, length);
  }
  void* resize(void* old, std::size_t new_length) {
    const std::size_t kept = old == nullptr ? 0 : length;
    void* grown = std::realloc(old, new_length);
    exhausted = exhausted || grown == nullptr;  // for good: HDF5 may try again on its way out
    if (grown == nullptr) return nullptr;
    if (new_length > kept) std::memset(static_cast<char*>(grown) + kept, 0, new_length - kept);
    data = grown;
    length = new_length;
    return grown;
  }
  static herr_t release(void*, H5FD_file_image_op_t, void*) { return 0; }  // ours from here on
  static void* share(void* self) { return self; }
  static herr_t unshare(void*) { return 0; }
};

Image::Image() : memory_(std::make_unique<Memory>()) {}
Image::~Image() { std::free(memory_->data); }
bool Image::exhausted() const { return memory_->exhausted; }

void Image::use(const PropertyList& access, std::size_t array_bytes, std::size_t metadata_bytes) {
  if (array_bytes > kLargeArrays && H5Pset_meta_block_size(access, metadata_bytes) < 0)
    throw internal_error("H5Pset_meta_block_size failed: " + last_error());
  H5FD_file_image_callbacks_t callbacks{};
  callbacks.image_malloc = Memory::allocate;
  callbacks.image_realloc = Memory::reallocate;
  callbacks.image_free = Memory::release;
  callbacks.udata_copy = Memory::share;
  callbacks.udata_free = Memory::unshare;
  callbacks.udata = memory_.get();
  if (H5Pset_fapl_core(access, kIncrement, false) < 0 || H5Pset_file_image_callbacks(access, &callbacks) < 0)
    throw internal_error("HDF5 cannot build a file in memory: " + last_error());
}

std::size_t Image::length() const {
  std::uint64_t end = 0;
  if (memory_->length >= kEndOfFileOffset + sizeof end)
    std::memcpy(&end, static_cast<const char*>(memory_->data) + kEndOfFileOffset, sizeof end);
  if (end == 0) throw internal_error("HDF5 built no file in memory");
  return end;
}

std::span<const std::byte> Image::bytes() const {
  return {static_cast<const std::byte*>(memory_->data), std::min(memory_->length, length())};
}

}  // namespace firesteel::hdf5
