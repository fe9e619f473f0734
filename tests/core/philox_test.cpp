// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/philox.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace firesteel {
namespace {

using Words = std::array<std::uint32_t, 4>;

// philox4x32-10 of the known answers (kat_vectors) that accompany Random123 by Salmon et al.
TEST(Philox, gives_the_published_known_answers) {
  EXPECT_EQ(philox(0, 0, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(~0ull, ~0ull, ~0ull), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  // Counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0 (digits of pi), words low first.
  EXPECT_EQ(philox(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, uniform_is_in_the_half_open_unit_interval_with_its_moments) {
  double sum = 0;
  double squares = 0;
  constexpr int kDraws = 100000;
  for (std::uint64_t i = 0; i < kDraws; ++i) {
    const double u = philox_uniform(1, 2, i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    squares += u * u;
  }
  const double mean = sum / kDraws;
  EXPECT_NEAR(mean, 0.5, 4 * std::sqrt(1.0 / 12 / kDraws));  // four standard errors
  EXPECT_NEAR(squares / kDraws - mean * mean, 1.0 / 12, 4 * std::sqrt(1.0 / 180 / kDraws));
}

TEST(Philox, draws_of_other_purposes_and_seeds_differ) {
  EXPECT_NE(philox_bits(1, 2, 3), philox_bits(1, 3, 3));
  EXPECT_NE(philox_bits(1, 2, 3), philox_bits(2, 2, 3));
  EXPECT_NE(philox_bits(1, 2, 3), philox_bits(1, 2, 4));
}

}  // namespace
}  // namespace firesteel
