// SPDX-License-Identifier: Apache-2.0
// Compressed text, made by the compressors' own programs as users have them.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "firesteel/io/compressed_file.hpp"
#include "firesteel/io/text_files.hpp"
#include "text_fixture.hpp"

namespace firesteel {
namespace {

/// How a text is compressed: a shell command from stdin to stdout, and what the file is called.
struct Way {
  const char* ending;
  const char* command;
};

std::ostream& operator<<(std::ostream& out, const Way& way) { return out << way.command; }

const Way kWays[] = {
    {".gz", "gzip -c"},
    {".gz", "(head -c 70000 | gzip -1 -c; gzip -9 -c)"},  // two members
    {".bz2", "bzip2 -9 -c"},
    {".bz2", "bzip2 -1 -c"},                            // many blocks
    {".bz2", "(head -c 150000 | bzip2 -c; bzip2 -c)"},  // two streams
    {".xz", "xz -c"},
    {".xz", "xz --block-size=65536 -c"},
    {".xz", "(head -c 99999 | xz --check=crc32 -c; xz -c)"},
    {".zst", "zstd -c -q"},                                // from a pipe: no size is written down
    {".zst", "(head -c 50000 | zstd -c -q; zstd -c -q)"},  // two frames
};

class Compressed : public testing::TextTest, public ::testing::WithParamInterface<Way> {
 protected:
  /// Compresses by the parameter's command.
  std::string compress(const std::string& name, const std::string& text) {
    const std::string plain = write(name + ".plain", text);
    const std::string path = directory + "/" + name + GetParam().ending;
    if (context.rank() == 0) {
      const std::string command = "cat " + plain + " | " + GetParam().command + " > " + path;
      EXPECT_EQ(std::system(command.c_str()), 0) << command;
    }
    context.comm().barrier();
    return path;
  }
  std::string bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
};

ReadOptions options_for(const std::string& path) {
  ReadOptions options;
  options.inputs = {path};
  options.label_use = ReadOptions::Label::optional;
  return options;
}

std::string csv_text(int rows) {
  std::mt19937_64 random(7);
  std::string text = "a,name,b\n";
  for (int row = 0; row < rows; ++row)
    text += std::to_string(random() % 1000) + ",\"line\nbreak\"," + std::to_string(row) + "\n";
  return text;
}

INSTANTIATE_TEST_SUITE_P(Ways, Compressed, ::testing::ValuesIn(kWays));

TEST_P(Compressed, csv_is_what_it_is_unpacked) {
  const std::string text = csv_text(20000);
  const auto plain = read_rows(context, options_for(write("p.csv", text)));
  const auto packed = read_rows(context, options_for(compress("a.csv", text)));
  EXPECT_EQ(packed.rows.schema.names, plain.rows.schema.names);
  EXPECT_EQ(packed.rows.partition.rows(), 20000);
  EXPECT_EQ(all_values(packed.rows), all_values(plain.rows));
}

TEST_P(Compressed, is_told_by_its_bytes_whatever_its_name) {
  const std::string path = compress("a", "0 1:2.5 3:1\n1 2:4\n");
  const std::string other = directory + "/" + "unnamed";
  if (context.rank() == 0) std::filesystem::rename(path, other);
  context.comm().barrier();
  const auto input = read_rows(context, options_for(other));
  EXPECT_TRUE(input.rows.sparse());
  EXPECT_EQ(all_values(input.rows), (std::vector<double>{2.5, 0, 1, 0, 4, 0}));
}

TEST_P(Compressed, any_place_can_be_read_in_any_order) {
  const std::string text = csv_text(40000);
  const auto files = open_text_files(context, {compress("a.csv", text)});
  ASSERT_EQ(files.size(0), static_cast<Index>(text.size()));
  TextReader reader(files);
  std::mt19937_64 random(3);
  for (int i = 0; i < 40; ++i) {
    const auto begin = random() % text.size();
    const auto end = begin + random() % std::min<std::size_t>(text.size() - begin + 1, 300000);
    const auto got = reader.read(0, static_cast<Index>(begin), static_cast<Index>(end));
    ASSERT_TRUE(std::string_view(got.data(), got.size()) ==
                std::string_view(text).substr(begin, end - begin));
  }
}

TEST_P(Compressed, a_fault_names_the_line_of_the_text) {
  std::string text = csv_text(3000) + "7,x\n";
  EXPECT_EQ(error_of(options_for(compress("a.csv", text))),
            std::string("a.csv") + GetParam().ending + ":6002: expected 3 columns, got 2");
}

TEST_P(Compressed, cut_short_anywhere_is_an_error_with_file_and_byte) {
  const std::string whole = bytes_of(compress("a.csv", csv_text(9000)));
  for (const double part : {0.2, 0.6, 0.999}) {
    auto bytes = static_cast<std::size_t>(part * static_cast<double>(whole.size()));
    const auto path = write("cut.csv", whole.substr(0, bytes));
    const std::string error = error_of(options_for(path));
    EXPECT_EQ(last_code, ErrorCode::no_input) << error;
    EXPECT_TRUE(error.starts_with("cut.csv: byte ")) << error;
    EXPECT_NE(error.find("cut short"), std::string::npos) << error;
  }
}

TEST_P(Compressed, changed_bytes_are_an_error_with_file_and_byte) {
  const std::string whole = bytes_of(compress("a.csv", csv_text(9000)));
  for (const double part : {0.3, 0.7}) {
    std::string bytes = whole;
    for (std::size_t i = 0; i < 8; ++i)
      bytes[static_cast<std::size_t>(part * static_cast<double>(bytes.size())) + i] ^= 0x55;
    const std::string error = error_of(options_for(write("bad.csv", bytes)));
    EXPECT_EQ(last_code, ErrorCode::no_input) << error;
    EXPECT_TRUE(error.starts_with("bad.csv: byte ")) << error;
  }
}

TEST_P(Compressed, what_follows_the_compressed_data_is_refused) {
  const std::string whole = bytes_of(compress("a.csv", csv_text(100)));
  error_of(options_for(write("more.csv", whole + "and more than that")));
  EXPECT_EQ(last_code, ErrorCode::no_input);
}

TEST_P(Compressed, nothing_compressed_is_an_empty_file) {
  EXPECT_EQ(error_of(options_for(compress("a.csv", ""))),
            std::string("a.csv") + GetParam().ending + " is empty");
}

using CompressedFiles = testing::TextTest;

TEST_F(CompressedFiles, gzip_keeps_its_state_along_the_text_and_within_bounds) {
  const std::string path = directory + "/big.gz";
  if (context.rank() == 0) {
    EXPECT_EQ(std::system(("seq 1 3000000 | gzip -1 -c > " + path).c_str()), 0);
  }
  context.comm().barrier();
  const auto files = open_text_files(context, {path});
  const CompressedFile& file = *files.compressed[0];
  EXPECT_GT(file.units.size(), 3U);  // 23 MB of text
  EXPECT_LE(file.windows.size(), file.units.size() * 32768);
  // From the last unit on, without what came before.
  TextReader reader(files);
  const auto got = reader.read(0, files.size(0) - 8, files.size(0));
  EXPECT_EQ(std::string(got.begin(), got.end()), "3000000\n");
}

TEST_F(CompressedFiles, a_size_that_the_bytes_cannot_hold_is_not_believed) {
  // A zstd frame of one empty block whose header claims 2^60 bytes of text.
  std::string frame("\x28\xb5\x2f\xfd\xe0", 5);
  for (int i = 0; i < 8; ++i) frame += i == 7 ? '\x10' : '\0';
  frame += std::string("\x01\0\0", 3);
  const std::string error = error_of(options_for(write("claim.csv", frame)));
  EXPECT_EQ(last_code, ErrorCode::no_input);
  EXPECT_EQ(
      error,
      "claim.csv: byte 0: the frame claims 1152921504606846976 bytes of text in 1 blocks of at most 131072");
}

TEST_F(CompressedFiles, names_lose_the_endings_of_compressors) {
  EXPECT_EQ(without_compression("a/b.csv.gz"), "a/b.csv");
  EXPECT_EQ(without_compression("a/b.tsv.ZST"), "a/b.tsv");
  EXPECT_EQ(without_compression("a.gz/b"), "a.gz/b");
  EXPECT_EQ(without_compression("b.csv"), "b.csv");
}

TEST_F(CompressedFiles, plain_and_compressed_ones_are_one_table) {
  const auto plain = write("1.csv", "x,y\n1,2\n");
  const auto second = write("2.txt", "x,y\n3,4\n");
  if (context.rank() == 0) {
    EXPECT_EQ(std::system(("gzip -c " + second + " > " + directory + "/2.csv.gz").c_str()), 0);
  }
  context.comm().barrier();
  auto options = options_for(plain);
  options.inputs.push_back(directory + "/2.csv.gz");
  EXPECT_EQ(all_values(read_rows(context, options).rows), (std::vector<double>{1, 2, 3, 4}));
}

}  // namespace
}  // namespace firesteel
