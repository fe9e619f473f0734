// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <type_traits>
#include <vector>

namespace firesteel {

/// Asks the system for huge pages where memory of that size has whole ones. To be called before it is
/// written: a first touch of 4 KiB after 4 KiB costs more than what is then done with most elements. It does
/// not matter if it is refused. Local.
void advise_huge_pages(const void* memory, std::size_t bytes) noexcept;

/// values.reserve(count), on huge pages. Local.
template <class T>
void reserve_huge(std::vector<T>& values, std::size_t count) {
  if (count <= values.capacity()) return;
  values.reserve(count);
  if constexpr (!std::is_same_v<T, bool>)
    advise_huge_pages(values.data() + values.size(), (values.capacity() - values.size()) * sizeof(T));
}

}  // namespace firesteel
