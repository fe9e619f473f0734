// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace firesteel {

/// Philox4x32-10: a counter-based random generator. The same (seed, purpose, counter) gives the same 128 bits
/// on any rank and thread, so every random draw is keyed by what it is for, never by who draws it. Source:
/// Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3",
/// doi:10.1145/2063384.2063405.
inline std::array<std::uint32_t, 4> philox(std::uint64_t seed, std::uint64_t purpose, std::uint64_t counter) {
  std::array<std::uint32_t, 4> x{
      static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
      static_cast<std::uint32_t>(purpose), static_cast<std::uint32_t>(purpose >> 32)};
  auto key0 = static_cast<std::uint32_t>(seed);
  auto key1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53} * x[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * x[2];
    x = {static_cast<std::uint32_t>(product1 >> 32) ^ x[1] ^ key0, static_cast<std::uint32_t>(product1),
         static_cast<std::uint32_t>(product0 >> 32) ^ x[3] ^ key1, static_cast<std::uint32_t>(product0)};
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return x;
}

/// The first 64 of the 128 bits.
inline std::uint64_t philox_bits(std::uint64_t seed, std::uint64_t purpose, std::uint64_t counter) {
  const auto x = philox(seed, purpose, counter);
  return (std::uint64_t{x[1]} << 32) | x[0];
}

/// A double uniform on [0, 1), a multiple of 2⁻⁵³.
inline double philox_uniform(std::uint64_t seed, std::uint64_t purpose, std::uint64_t counter) {
  return static_cast<double>(philox_bits(seed, purpose, counter) >> 11) * 0x1p-53;
}

}  // namespace firesteel
