// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace firesteel {

/// Memory on a 64-byte boundary (a cache line, an AVX-512 register), so that tiles can be read with aligned
/// loads. From 4 MiB on a 2 MiB boundary, with the system asked for huge pages: page faults of 4 KiB cost a
/// tenth of the CPU time of reading a CSV file (bench/csv_reading). Throws bad_alloc.
void* allocate_aligned(std::size_t bytes);
void deallocate_aligned(void* memory, std::size_t bytes) noexcept;

/// Allocates by allocate_aligned().
template <class T>
struct AlignedAllocator {
  using value_type = T;

  AlignedAllocator() = default;
  template <class U>
  AlignedAllocator(const AlignedAllocator<U>&) {}  // NOLINT(google-explicit-constructor): allocators convert

  T* allocate(std::size_t count) {
    if (count > static_cast<std::size_t>(-1) / 2 / sizeof(T)) throw std::bad_array_new_length();
    return static_cast<T*>(allocate_aligned(count * sizeof(T)));
  }
  void deallocate(T* pointer, std::size_t count) noexcept { deallocate_aligned(pointer, count * sizeof(T)); }
  friend bool operator==(const AlignedAllocator&, const AlignedAllocator&) { return true; }
};

template <class T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

}  // namespace firesteel
