// SPDX-License-Identifier: Apache-2.0
#include "firesteel/core/printable.hpp"

#include <gtest/gtest.h>

#include "firesteel/core/error.hpp"

namespace firesteel {
namespace {

using namespace std::string_view_literals;

TEST(Printable, leaves_text_and_escapes_what_is_none) {
  EXPECT_EQ(printable("größe 你好 😀 \\n"), "größe 你好 😀 \\n");
  EXPECT_EQ(printable("a\0b\n\r\t\x1b\x7f"sv), "a\\x00b\\n\\r\\t\\x1b\\x7f");
  EXPECT_EQ(printable("\xc2\x85"), "\\xc2\\x85");  // a control character of two bytes
  EXPECT_EQ(printable("gr\xf6\xdf"
                      "e"),
            "gr\\xf6\\xdf"
            "e");
  EXPECT_EQ(printable("\xc3"), "\\xc3");                             // cut short
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");                    // longer than it need be
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // half of a pair
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond Unicode
  EXPECT_EQ(printable(printable("\xff\n")), printable("\xff\n"));
}

TEST(Printable, a_message_is_whole_whatever_it_shows) {
  const std::string name("a\0b", 3);
  EXPECT_STREQ(bad_input("no column '" + name + "' here").what(), "no column 'a\\x00b' here");
}

}  // namespace
}  // namespace firesteel
